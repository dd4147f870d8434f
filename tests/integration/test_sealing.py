"""What the database keeps of secrets is of no use to whoever has the database alone."""

import io
from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command

from devstack.harness.databases import ServiceDatabase
from notification_service.models import WebhookTargetRow
from tests.support.databases import in_use
from waybill.database import sealing
from waybill.observability.telemetry import new_id
from waybill.runtime import settings

SECRET, FORMER = "whsec_now", "whsec_before"
OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))


@pytest.fixture(autouse=True)
def read_anew() -> Iterator[None]:
    yield
    settings._read.cache_clear()


@pytest.fixture
def database(database_server) -> Iterator[ServiceDatabase]:
    with database_server.fresh("notification_service") as fresh, in_use(fresh.service_url):
        yield fresh


def keys(monkeypatch: pytest.MonkeyPatch, *given: str) -> None:
    monkeypatch.setenv("WAYBILL_ENCRYPTION_KEYS", ",".join(given))
    if not given:
        monkeypatch.delenv("WAYBILL_ENCRYPTION_KEYS")
    settings._read.cache_clear()


def webhook() -> UUID:
    row = WebhookTargetRow(webhook_id=UUID(new_id()), customer_id="ann", url="https://a.example", secret=SECRET)
    row.previous_secret, row.previous_valid_until = FORMER, "2026-01-01T00:00:00Z"
    row.save()
    return row.pk


def kept(database: ServiceDatabase) -> tuple[str, str]:
    with psycopg.connect(database.superuser_url) as session:
        return session.execute("SELECT secret, previous_secret FROM webhook_targets").fetchone()


def read(webhook_id: UUID) -> tuple[str, str]:
    row = WebhookTargetRow.objects.get(pk=webhook_id)
    return row.secret, row.previous_secret


def test_a_secret_is_encrypted_in_the_table_and_plain_to_the_service(database, monkeypatch):
    keys(monkeypatch, OLD)
    webhook_id = webhook()
    assert all(text.startswith(sealing.SEALED) for text in kept(database))
    assert read(webhook_id) == (SECRET, FORMER)


def test_keys_are_rotated_without_a_moment_in_which_a_secret_cannot_be_read(database, monkeypatch):
    keys(monkeypatch)
    webhook_id = webhook()
    assert kept(database) == (SECRET, FORMER)
    for given in ([OLD], [OLD, NEW], [NEW, OLD]):
        keys(monkeypatch, *given)
        assert read(webhook_id) == (SECRET, FORMER)
        call_command("seal_secrets", stdout=io.StringIO())
    keys(monkeypatch, NEW)
    assert read(webhook_id) == (SECRET, FORMER)


@pytest.mark.parametrize("given", [[], [NEW]])
def test_a_secret_whose_key_is_not_there_is_not_taken_for_a_text(database, monkeypatch, given):
    keys(monkeypatch, OLD)
    webhook_id = webhook()
    keys(monkeypatch, *given)
    with pytest.raises(sealing.Unsealable, match="no key of WAYBILL_ENCRYPTION_KEYS"):
        read(webhook_id)


def test_a_text_that_was_changed_is_refused(monkeypatch):
    keys(monkeypatch, OLD)
    sealed = sealing.seal(SECRET)
    with pytest.raises(sealing.Unsealable):
        sealing.unseal(f"{sealed[:30]}{'B' if sealed[30] == 'A' else 'A'}{sealed[31:]}")
