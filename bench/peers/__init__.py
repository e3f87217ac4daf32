"""The same job done by others: `python -m bench.peers.run`, from one broker and one generator."""
