"""What the relay knows of Kafka: the producer and its life, the record, what the broker answers."""
