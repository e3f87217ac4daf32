"""MQTT 3.1.1 and 5: a sans-I/O codec, an endpoint for devices, and a client of brokers."""
