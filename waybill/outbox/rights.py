"""What roles may do in a database with an outbox: the writers append, and the relay writes what is its own."""

from typing import Final, LiteralString

WRITER: Final[LiteralString] = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON waybill_outbox, waybill_aggregate_version TO {role};
GRANT INSERT (event_id, topic, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload,
              metadata) ON waybill_outbox TO {role};
"""
RELAY_TABLES: Final[LiteralString] = """
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON waybill_outbox, waybill_outbox_position_seq, waybill_schema_id, waybill_relay_pause,
                waybill_operator_decision, waybill_service TO {role};
GRANT SELECT, UPDATE ON waybill_outbox_cursor TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON published, waybill_program_state TO {role};
"""
RELAY: Final[LiteralString] = "GRANT CONNECT ON DATABASE {database} TO {role};" + RELAY_TABLES
