"""A fleet of simulated devices that send over real connections."""
