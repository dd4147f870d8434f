"""A secret comes from the environment or from a file, and stands in nothing that is shown."""

import json
import logging
import subprocess
import sys

import psycopg
import pytest
import structlog
from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict

from catalogue.tables import variables
from devstack.folder import CHECKOUT
from outbox_relay.operations.topology import UsageError, find_topology
from outbox_relay.settings import RelaySettings
from payment_service.settings import PaymentSettings
from tests.support.program_log import program_log
from waybill.contracts import command
from waybill.database.postgres_client import parameters
from waybill.registry.registry import Access
from waybill.runtime import settings
from waybill.runtime.django_settings import database
from waybill.runtime.settings import Settings
from waybill.secret_settings import MASK, SecretSettings, is_secret, renewed, secret_of, without_passwords

PASSWORD = "hunter2-and-more"
URL = f"postgresql://ann:{PASSWORD}@127.0.0.1:1/nothing"
KINDS = (Settings, RelaySettings, PaymentSettings, Access)


class Told(SecretSettings):
    model_config = SettingsConfigDict(env_prefix="TOLD_", extra="ignore")

    word: SecretStr | None = None


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"{URL}\n")
    return path


def test_every_setting_that_holds_a_secret_is_one():
    found = {name for kind in KINDS for name, field in kind.model_fields.items() if is_secret(field)}
    assert found == {
        "database_url", "owner_database_url",
        "encryption_keys", "outbox_databases", "stripe_api_key", "password", "token",
    }  # fmt: skip


def test_a_secret_comes_from_a_file_without_the_end_of_its_line(monkeypatch, file):
    monkeypatch.setenv("WAYBILL_DATABASE_URL_FILE", str(file))
    monkeypatch.delenv("WAYBILL_DATABASE_URL", raising=False)
    settings._read.cache_clear()
    assert settings.read(Settings).database_url == URL


def test_an_empty_variable_beside_the_file_is_none(monkeypatch, file):
    monkeypatch.setenv("WAYBILL_DATABASE_URL_FILE", str(file))
    monkeypatch.setenv("WAYBILL_DATABASE_URL", "")
    settings._read.cache_clear()
    assert settings.read(Settings).database_url == URL


def test_a_secret_that_is_given_twice_is_refused_with_both_names(monkeypatch, file):
    monkeypatch.setenv("WAYBILL_DATABASE_URL_FILE", str(file))
    monkeypatch.setenv("WAYBILL_DATABASE_URL", URL)
    settings._read.cache_clear()
    with pytest.raises(SystemExit, match="WAYBILL_DATABASE_URL and WAYBILL_DATABASE_URL_FILE are both set") as refused:
        settings.read(Settings)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "No such file"), (b"", "it is empty"), (b"\n", "it is empty"), (b"\xff\xfe", "no text")],
)
def test_a_file_that_holds_no_secret_is_named(monkeypatch, tmp_path, content, said):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv("TOLD_WORD_FILE", str(path))
    with pytest.raises(ValueError, match=f"TOLD_WORD_FILE: {path}: .*{said}"):
        Told()


def test_a_folder_is_no_secret(monkeypatch, tmp_path):
    monkeypatch.setenv("TOLD_WORD_FILE", str(tmp_path))
    with pytest.raises(ValueError, match=f"TOLD_WORD_FILE: {tmp_path}: Is a directory"):
        Told()


def test_the_command_and_the_contracts_steps_read_files_too(monkeypatch, tmp_path):
    path = tmp_path / "secret"
    path.write_text(f"order={URL}")
    assert find_topology({"WAYBILL_OUTBOX_DATABASES_FILE": str(path)}).databases == {"order": URL}
    with pytest.raises(UsageError, match="WAYBILL_OUTBOX_DATABASES_FILE: /nowhere: No such file"):
        find_topology({"WAYBILL_OUTBOX_DATABASES_FILE": "/nowhere"})
    monkeypatch.setenv("WAYBILL_OWNER_DATABASE_URLS_FILE", str(path))
    assert command._variable("WAYBILL_OWNER_DATABASE_URLS") == f"order={URL}"
    assert secret_of("NOBODY", {}) is None


def test_no_dump_of_settings_shows_a_secret(monkeypatch):
    monkeypatch.setenv("WAYBILL_OUTBOX_DATABASES", f"order={URL}")
    relay = RelaySettings()
    service = Settings(database_url=URL, owner_database_url=URL)
    stripe = PaymentSettings(provider="stripe", stripe_api_key=SecretStr(PASSWORD))
    for told in (relay, service, stripe):
        dumps = (repr(told), str(told), str(told.model_dump()), told.model_dump_json(), str(vars(told)))
        assert all(PASSWORD not in dump and "***" in dump for dump in dumps), told
    assert PASSWORD not in repr((relay.outboxes, find_topology({"WAYBILL_OUTBOX_DATABASES": f"order={URL}"})))
    assert PASSWORD not in repr(database(URL))


def test_djangos_own_dump_of_its_settings_shows_no_secret():
    done = subprocess.run(
        [sys.executable, "-m", "waybill", "order_service", "manage", "diffsettings"],
        cwd=CHECKOUT, env={"WAYBILL_DATABASE_URL": URL}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert "'PASSWORD': '**********'" in done.stdout
    assert PASSWORD not in done.stdout


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{PASSWORD}/x@127.0.0.1:5432/d",
        f"postgresql://ann:{PASSWORD}@127.0.0.1:99999/d",
        f"postgresql://ann:{PASSWORD}@[::1/d",
        f"postgresql://ann:%zz{PASSWORD}@h/d",
        f"postgresql://ann:{PASSWORD}@h/d?no_such={PASSWORD}",
        f"mysql://ann:{PASSWORD}@h/d",
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_password(monkeypatch, url):
    monkeypatch.setenv("WAYBILL_DATABASE_URL", url)
    settings._read.cache_clear()
    with pytest.raises(SystemExit, match="WAYBILL_DATABASE_URL: ") as refused:
        settings.read(Settings)
    assert PASSWORD not in str(refused.value)


def test_no_line_of_a_log_shows_the_password_of_a_url(capsys):
    with program_log():
        try:
            raise psycopg.OperationalError(f'connection to "{URL}" failed')
        except psycopg.OperationalError:
            structlog.get_logger().exception("failed", url=URL, of=[URL])
            logging.getLogger("some.library").exception("no %s", URL)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(json.loads(line) and f"ann:{MASK}@" in line and PASSWORD not in line for line in lines)


@pytest.mark.parametrize("text", ["http://127.0.0.1:80/a@b", "see http://a/b: c@d", "a:b@c", '"u://a:b", "c@d"'])
def test_what_is_no_password_is_shown(text):
    assert without_passwords(text) == text


def test_the_pages_say_which_settings_may_come_from_a_file():
    assert "Or `WAYBILL_STRIPE_API_KEY_FILE`." in variables(PaymentSettings)


def test_a_secret_from_a_file_is_what_the_file_has_when_it_is_used_again(file):
    read = secret_of("WORD", {"WORD_FILE": str(file)})
    assert (read, renewed(URL), renewed("another")) == (URL, URL, "another")
    new = URL.replace(PASSWORD, "renewed")
    file.write_text(new)
    assert (renewed(URL), parameters(URL, "test")["password"]) == (new, "renewed")
    file.write_text("")
    assert renewed(URL) == URL
    file.unlink()
    assert renewed(URL) == URL


def test_one_of_several_urls_in_a_file_is_renewed_with_it(file, monkeypatch):
    text = f"order={URL},payment={URL.replace('ann', 'bob')}"
    file.write_text(text)
    topology = find_topology({"WAYBILL_OUTBOX_DATABASES_FILE": str(file)})
    file.write_text(text.replace(PASSWORD, "renewed"))
    assert [parameters(url, "test")["password"] for url in topology.databases.values()] == ["renewed"] * 2
