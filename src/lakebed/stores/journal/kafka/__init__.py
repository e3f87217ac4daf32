"""The journal on Apache Kafka, for many gateways and many keepers."""
