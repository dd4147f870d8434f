"""What the services stand on: PostgreSQL, Kafka and the schema registry."""
