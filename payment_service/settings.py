"""Settings that only the payment service needs."""

from pydantic import Field

from chassis.settings import Environment


class PaymentSettings(Environment):
    """Where the payment provider is, and how long it may take."""

    provider_url: str = Field(default="http://127.0.0.1:8090", description="Base URL of the payment provider.")
    provider_timeout_seconds: float = Field(default=3.0, gt=0, description="Longest wait for one answer.")
    provider_tries: int = Field(default=2, ge=1, description="Calls within one attempt, before the due row's backoff.")
