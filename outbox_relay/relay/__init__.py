"""From the outbox to Kafka: read, produce, settle; leadership and safety checks."""
