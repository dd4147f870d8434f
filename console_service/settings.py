"""Settings that only the console needs."""

from typing import NamedTuple, Self

from pydantic import Field, model_validator

from waybill.runtime.settings import Environment
from waybill.secret_settings import SecretText


class Issuer(NamedTuple):
    """Where one signs in, and as whom the console asks."""

    authorize_url: str
    token_url: str
    client_id: str
    client_secret: str | None
    scope: str


class ConsoleSettings(Environment):
    """Where the other services are, who may come in, and how long anything is kept."""

    outbox_databases: SecretText | None = Field(
        default=None,
        description="The databases of the services that are shown: order_service=postgresql://…,payment_service=…, "
        "each with its service's role, and `console=…`, the console's own; web needs it.",
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
    # The overview is refreshed every two.
    console_doctor_seconds: float = Field(
        default=3, ge=0, description="Seconds after which the overview asks anew what is wrong. 0: it never asks."
    )
    console_connect_seconds: int = Field(
        default=2, ge=2, description="Longest that a page waits for a connection to a service's database."
    )
    # A refresh must not keep a thread that somebody else's page waits for.
    console_statement_seconds: int = Field(
        default=5, ge=1, description="Longest that a page waits for one answer of a service's database."
    )
    console_oidc_authorize_url: str | None = Field(
        default=None,
        description="The issuer's authorization endpoint (OpenID Connect), where one then signs in; the console's own "
        "address there is `https://…/callback`. None: by a token that one has.",
    )
    console_oidc_token_url: str | None = Field(default=None, description="The issuer's token endpoint.")
    console_oidc_client_id: str | None = Field(default=None, description="The console's client id there.")
    console_oidc_client_secret: SecretText | None = Field(
        default=None, description="The client's secret; None for a public client. PKCE is used either way."
    )
    console_oidc_scope: str = Field(
        default="openid console:view console:operate console:payload",
        description="Scopes that are asked for; the issuer gives those that somebody may have.",
    )

    @property
    def console_oidc(self) -> Issuer | None:
        """Return the issuer that one signs in at, where there is one."""
        urls = self.console_oidc_authorize_url, self.console_oidc_token_url, self.console_oidc_client_id
        if urls[0] is None or urls[1] is None or urls[2] is None:
            return None
        return Issuer(urls[0], urls[1], urls[2], self.console_oidc_client_secret, self.console_oidc_scope)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        given = self.console_oidc_authorize_url, self.console_oidc_token_url, self.console_oidc_client_id
        if any(given) and not all(given):
            raise ValueError("WAYBILL_CONSOLE_OIDC_…: AUTHORIZE_URL, TOKEN_URL and CLIENT_ID belong together")
        return self
