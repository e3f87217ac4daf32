"""Records to topics of Kafka, each once to those who read committed ones.

send:  begin_transaction
         produce …                       all records of the delivery
         send_offsets_to_transaction     the position, as an offset of a group of its own
       commit_transaction                all of it counts, or nothing

configuration.py  options of the document as properties of librdkafka
target.py         the target
"""

from lakebed.relays.targets.kafka.target import KIND

__all__ = ["KIND"]
