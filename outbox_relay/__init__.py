"""From the outbox to Kafka: owns no table; reads `waybill_outbox`, writes `waybill_outbox_cursor` and `published`.

Publishes every committed event at least once, in version order within its aggregate. Imports no Django.
"""
