-- What is appended and public, and the columns that the connector uses: the server leaves out the rest.
CREATE PUBLICATION outbox FOR TABLE waybill_outbox (
    position, event_id, topic, aggregate_id, aggregate_version, event_type, schema_version, payload, metadata, recorded_at
) WHERE (topic IS NOT NULL) WITH (publish = 'insert');
