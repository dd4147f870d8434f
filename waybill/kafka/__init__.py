"""Kafka: how clients connect, and the creation of topics."""
