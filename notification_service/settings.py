"""Settings that only the notification service needs."""

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from notification_service.address import ascii_form
from waybill.runtime.settings import Deployment

FOR_DEVELOPMENT: Final = ("webhook_allow_http", "webhook_allow_private")


class NotificationSettings(Deployment):
    """Where mail is handed over and who it comes from; how customers' webhooks are delivered."""

    smtp_host: str = Field(default="127.0.0.1", description="Host of the mail server.")
    smtp_port: int = Field(default=25, ge=1, le=65535, description="Port of the mail server.")
    smtp_timeout_seconds: float = Field(
        default=8.0, gt=0, description="Longest that handing one mail over may take, from resolving the name on."
    )
    mail_from: Annotated[str, AfterValidator(ascii_form)] = Field(
        default="shop@waybill.example", description="Sender of every mail."
    )
    webhook_limit: int = Field(default=10, ge=1, le=100, description="Webhooks that one customer may have.")
    webhook_timeout_seconds: float = Field(
        default=8.0,
        gt=0,
        description="Longest that one try of a delivery may take, from resolving the name to the answer's headers.",
    )
    webhook_connect_seconds: float = Field(
        default=3.0, gt=0, description="Longest that connecting to a webhook's receiver may take, with TLS."
    )
    webhook_retry_seconds: float = Field(
        default=5.0,
        gt=0,
        description="About how long after the first failed try of a delivery the next one comes; four times as long "
        "after each, up to 6 hours.",
    )
    webhook_retry_for: timedelta = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="ISO 8601 duration from a delivery's first try to its last one. A webhook to which nothing was "
        "delivered for so long is disabled.",
    )
    webhook_secret_overlap: timedelta = Field(
        default=timedelta(days=1),
        gt=timedelta(0),
        description="ISO 8601 duration in which messages are signed with the former secret too, after a rotation.",
    )
    webhook_deliveries_kept: timedelta = Field(
        default=timedelta(days=30),
        ge=timedelta(days=1),
        description="ISO 8601 duration for which a delivery that ended can be listed, and made again.",
    )
    webhook_allow_http: bool = Field(
        default=False, description="Whether webhooks may have plain http URLs; for development only."
    )
    webhook_allow_private: bool = Field(
        default=False,
        description="Whether webhooks may lead to addresses that are not public (loopback, private, link-local); for "
        "development only: whoever registers one reaches what this program reaches.",
    )

    @model_validator(mode="after")
    def _for_development_only(self) -> Self:
        given = [f"WAYBILL_{name.upper()}" for name in FOR_DEVELOPMENT if getattr(self, name)]
        if given and not self.in_development:
            raise ValueError(
                f"{' and '.join(given)}: only where WAYBILL_ENVIRONMENT is development, since whoever registers a "
                "webhook could then reach into this network; unset it"
            )
        return self
