"""What the relay's role may do in a database: read the outbox, and write what is the relay's own."""

from typing import Final, LiteralString

RELAY: Final[LiteralString] = """
GRANT CONNECT ON DATABASE {database} TO {role};
GRANT USAGE ON SCHEMA {schema} TO {role};
GRANT SELECT ON waybill_outbox, waybill_outbox_position_seq, waybill_schema_id, waybill_relay_pause,
                waybill_operator_decision, waybill_service TO {role};
GRANT SELECT, UPDATE ON waybill_outbox_cursor TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON published, waybill_program_state TO {role};
"""
