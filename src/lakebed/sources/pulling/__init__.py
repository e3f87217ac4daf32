"""What sources share that read a queue by a position: a bus over HTTP, topics of Kafka."""
