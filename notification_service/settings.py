"""Settings that only the notification service needs."""

from pydantic import Field

from waybill.runtime.settings import Environment


class NotificationSettings(Environment):
    """Where mail is handed over, and who it comes from."""

    smtp_host: str = Field(default="127.0.0.1", description="Host of the mail server.")
    smtp_port: int = Field(default=25, ge=1, le=65535, description="Port of the mail server.")
    smtp_timeout_seconds: float = Field(
        default=8.0, gt=0, description="Longest that handing one mail over may take, from resolving the name on."
    )
    mail_from: str = Field(default="shop@waybill.example", description="Sender of every mail.")
