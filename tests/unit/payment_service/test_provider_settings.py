"""Which provider is asked, and what settings cannot be."""

from collections.abc import Iterator

import pytest

from payment_service.provider import asking
from payment_service.provider.simulator import Simulator
from payment_service.provider.stripe import Stripe
from payment_service.settings import PaymentSettings
from waybill.runtime import settings


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    for cached in (settings._read, asking.chosen):
        cached.cache_clear()
    yield
    for cached in (settings._read, asking.chosen):
        cached.cache_clear()


@pytest.mark.parametrize(("name", "kind"), [("simulator", Simulator), ("stripe", Stripe)])
def test_the_setting_chooses_the_provider(monkeypatch, name, kind):
    monkeypatch.setenv("WAYBILL_PROVIDER", name)
    monkeypatch.setenv("WAYBILL_STRIPE_API_KEY", "sk_test_1")
    chosen = asking.chosen()
    assert isinstance(chosen, kind)
    chosen.close()


def test_stripe_without_a_key_ends_the_program_with_one_line(monkeypatch):
    monkeypatch.setenv("WAYBILL_PROVIDER", "stripe")
    with pytest.raises(SystemExit) as refused:
        settings.read(PaymentSettings)
    assert str(refused.value).splitlines()[1:] == ["WAYBILL_STRIPE_API_KEY: WAYBILL_PROVIDER=stripe needs Stripe's key"]


@pytest.mark.parametrize("bound", ["P1D", "PT0S"])
def test_a_charge_cannot_be_asked_for_longer_than_its_key_is_remembered(monkeypatch, bound):
    monkeypatch.setenv("WAYBILL_PROVIDER_ASK_FOR", bound)
    with pytest.raises(SystemExit, match="WAYBILL_PROVIDER_ASK_FOR: "):
        settings.read(PaymentSettings)


def test_the_key_is_shown_nowhere(monkeypatch):
    monkeypatch.setenv("WAYBILL_STRIPE_API_KEY", "sk_live_secret")
    assert "secret" not in repr(settings.read(PaymentSettings))
