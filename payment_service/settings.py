"""Settings that only the payment service needs."""

from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from waybill.runtime.settings import Environment

REMEMBERED = timedelta(hours=20)  # the longest bound: Stripe remembers a key for 24 hours


class PaymentSettings(Environment):
    """Which payment provider it is, how long it may take, and how long it is asked again."""

    provider: Literal["simulator", "stripe"] = Field(default="simulator", description="`simulator` or `stripe`.")
    provider_url: str = Field(default="http://127.0.0.1:8090", description="Base URL of the simulator.")
    stripe_url: str = Field(default="https://api.stripe.com", description="Base URL of Stripe's API.")
    stripe_api_key: SecretStr | None = Field(default=None, description="Stripe's secret or restricted key.")
    provider_timeout_seconds: float = Field(
        default=3.0,
        gt=0,
        description="Longest that one call may take, from resolving the name to the last byte of the answer.",
    )
    provider_tries: int = Field(default=2, ge=1, description="Calls within one attempt, before the due row's backoff.")
    provider_ask_for: timedelta = Field(
        default=timedelta(hours=12),
        gt=timedelta(0),
        le=REMEMBERED,
        description="ISO 8601 duration from a charge's first attempt in which it is asked for again, under its key; "
        "later it is only looked up. At most `PT20H`: a provider forgets its keys after 24 hours.",
    )
    provider_breaker_failures: int = Field(
        default=10,
        ge=1,
        description="Failures in a row that open the circuit breaker of a kind of call: charge, void, refund.",
    )
    provider_breaker_seconds: float = Field(
        default=5.0, ge=1, description="How long it stays open, before one call is let through."
    )

    @model_validator(mode="after")
    def _can_pay(self) -> Self:
        if self.provider == "stripe" and not self.stripe_api_key:
            raise ValueError("WAYBILL_STRIPE_API_KEY: WAYBILL_PROVIDER=stripe needs Stripe's key")
        return self
