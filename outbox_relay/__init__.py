"""From the outbox to Kafka: owns no table; reads `outbox` and `schema_id`, writes `outbox_cursor` and `published`.

Publishes every committed event at least once, in version order within its aggregate. Imports no Django.
"""
