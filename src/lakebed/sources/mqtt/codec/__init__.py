"""MQTT 3.1.1 and 5 as bytes and packets, without I/O."""
