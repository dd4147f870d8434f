"""Settings that only the console needs."""

from pydantic import Field

from waybill.runtime.settings import Environment
from waybill.secret_settings import SecretText


class ConsoleSettings(Environment):
    """Where the other services are, who may come in, and how long anything is kept."""

    outbox_databases: SecretText | None = Field(
        default=None,
        description="The databases of the services that are shown: order_service=postgresql://…,payment_service=…, "
        "each with its service's role; web needs it.",
    )
    console_secret_key: SecretText | None = Field(
        default=None,
        description="Key that signs sessions and dry runs. None: one made at the start, so a restart signs everybody "
        "out; several web processes need the same one.",
    )
    # A shift: whoever stays longer signs in again.
    console_session_hours: float = Field(
        default=8, gt=0, description="Longest that one stays signed in; no longer than the token is valid."
    )
    # As long as an inbox remembers: what came in that time can be looked up.
    console_days: int = Field(
        default=30, ge=1, description="Days that an order which has ended, and its events, are kept in the read model."
    )
    console_connect_seconds: int = Field(
        default=2, ge=2, description="Longest that a page waits for a connection to a service's database."
    )
    # A refresh must not keep a thread that somebody else's page waits for.
    console_statement_seconds: int = Field(
        default=5, ge=1, description="Longest that a page waits for one answer of a service's database."
    )
