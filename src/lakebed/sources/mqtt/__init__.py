"""MQTT 3.1.1 and 5: one sans-I/O codec, an endpoint for devices, a client that joins brokers."""
