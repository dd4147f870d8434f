import pytest

from waybill.runtime import settings
from waybill.runtime.settings import Environment, Settings


def test_a_missing_and_a_malformed_variable_are_named_in_a_line_each(monkeypatch):
    monkeypatch.delenv("WAYBILL_DATABASE_URL")
    monkeypatch.setenv("WAYBILL_PORT", "eighty")
    settings._read.cache_clear()
    with pytest.raises(SystemExit) as refused:
        settings.read(Settings)
    lines = str(refused.value).splitlines()
    assert any(line.startswith("WAYBILL_DATABASE_URL: ") for line in lines)
    assert any(line.startswith("WAYBILL_PORT: ") for line in lines)


def test_every_setting_says_what_it_is():
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_settings_of_another_kind_read_the_same_environment(monkeypatch):
    class Other(Environment):
        port: int

    monkeypatch.setenv("WAYBILL_PORT", "81")
    assert settings.read(Other).port == 81


def test_a_lease_that_is_no_longer_than_an_attempt_may_take_ends_the_program_at_its_start(monkeypatch):
    monkeypatch.setenv("WAYBILL_WORKER_ATTEMPT_SECONDS", "15")
    settings._read.cache_clear()
    with pytest.raises(SystemExit, match=r"WAYBILL_WORKER_LEASE_SECONDS: 15 is not longer than .*_ATTEMPT_SECONDS, 15"):
        settings.read(Settings)
