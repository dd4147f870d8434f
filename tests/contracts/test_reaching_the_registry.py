"""A registry that asks who calls, behind TLS: what fits goes through, what does not gets one line without a secret."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.support.tls_registry import PASSWORD, TOKEN, USER, Gateway, guarded, make_certificates
from waybill.contracts.command import main
from waybill.contracts.contracts import load

SETTINGS = ("USER", "PASSWORD", "TOKEN", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
HIDDEN = (PASSWORD, TOKEN, "wrong-word", "hidden")


@pytest.fixture
def gateway(registry_url: str, tmp_path: Path) -> Iterator[Gateway]:
    with guarded(registry_url, tmp_path) as gateway:
        yield gateway


@pytest.fixture
def strict_gateway(registry_url: str, tmp_path: Path) -> Iterator[Gateway]:
    """Ask every client for a certificate."""
    with guarded(registry_url, tmp_path, client_certificate=True) as gateway:
        yield gateway


class Step:
    """`python -m waybill contracts register`, as a deployment runs it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], owner_url: str) -> None:
        self._set, self._captured, self._owner_url = monkeypatch.setenv, capfd, owner_url

    def __call__(self, url: str, **settings: object) -> tuple[int, str]:
        """Return the exit code and the only line on stderr, which holds no secret."""
        self._set("WAYBILL_REGISTRY_URL", url)
        self._set("WAYBILL_OWNER_DATABASE_URLS", self._owner_url)
        for name in SETTINGS:
            self._set(f"WAYBILL_REGISTRY_{name}", str(settings.get(name.lower(), "")))
        code = main(["register", "--wait", "0.5"])
        said = self._captured.readouterr()
        assert not [secret for secret in HIDDEN if secret in said.out + said.err]
        assert len(said.err.splitlines()) == (code != 0), said.err
        return code, said.err


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], owner_database_url: str) -> Step:
    return Step(monkeypatch, capfd, owner_database_url)


@pytest.mark.parametrize("who", [{"user": USER, "password": PASSWORD}, {"token": TOKEN}], ids=["password", "token"])
def test_every_schema_is_registered_through_tls_by_who_is_known(step: Step, gateway: Gateway, who: dict[str, str]):
    assert step(gateway.url, ca_file=gateway.certificates.ca_file, **who) == (0, "")
    registered = [call for call in gateway.called if call.startswith("POST ")]
    assert len(registered) == len([contract for contract in load() if contract.topic])


@pytest.mark.parametrize(
    ("who", "line"),
    [
        ({"user": USER, "password": "wrong-word"}, f"it does not take WAYBILL_REGISTRY_PASSWORD of '{USER}'"),
        ({"token": "wrong-word"}, "it does not take WAYBILL_REGISTRY_TOKEN"),
        ({}, "it wants to know who asks; set WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_PASSWORD, or"),
    ],
    ids=["password", "token", "nobody"],
)
def test_who_is_not_known_is_told_the_setting_at_once(step: Step, gateway: Gateway, who: dict[str, str], line: str):
    code, said = step(gateway.url, ca_file=gateway.certificates.ca_file, **who)
    assert code == 1
    assert f"the registry at {gateway.url} answered 401 to GET /config: {line}" in said


def test_an_answer_that_repeats_the_secret_is_shown_without_it(step: Step, gateway: Gateway):
    gateway.unwise = True
    code, said = step(gateway.url, ca_file=gateway.certificates.ca_file, token=TOKEN)
    assert code == 1
    assert "answered 422 to GET /config: what is Bearer …?" in said


def test_a_certificate_that_nobody_vouches_for_names_the_setting(step: Step, gateway: Gateway, tmp_path: Path):
    others = tmp_path / "others"
    others.mkdir()
    for more in ({}, {"ca_file": make_certificates(others).ca_file}):
        code, said = step(gateway.url, token=TOKEN, **more)
        assert code == 1
        assert "; WAYBILL_REGISTRY_CA_FILE names the CAs that may vouch for it" in said


def test_a_registry_that_asks_for_our_certificate_gets_it_or_is_named(step: Step, strict_gateway: Gateway):
    ca_file, client_file = strict_gateway.certificates.ca_file, strict_gateway.certificates.client_file
    code, said = step(strict_gateway.url, token=TOKEN, ca_file=ca_file)
    assert code == 1
    assert "it may ask for a certificate: WAYBILL_REGISTRY_CERTIFICATE_FILE" in said
    assert step(strict_gateway.url, token=TOKEN, ca_file=ca_file, certificate_file=client_file) == (0, "")


def test_https_to_a_registry_without_tls_is_named(step: Step, registry_url: str):
    code, said = step(registry_url.replace("http:", "https:"))
    assert code == 1
    assert "it speaks no TLS; WAYBILL_REGISTRY_URL begins with https:" in said


def test_a_registry_that_hangs_up_is_waited_for(step: Step, gateway: Gateway):
    gateway.away = True
    code, said = step(gateway.url, ca_file=gateway.certificates.ca_file, token=TOKEN)
    assert code == 4
    assert "is not reachable after 0.5 s" in said


def test_tls_settings_for_a_url_without_tls_are_named(step: Step, registry_url: str, tmp_path: Path):
    code, said = step(registry_url, ca_file=make_certificates(tmp_path).ca_file)
    assert code == 1
    assert "WAYBILL_REGISTRY_CA_FILE is set, and WAYBILL_REGISTRY_URL does not begin with https:" in said


def test_the_door_itself_lets_nobody_in_who_is_not_known(gateway: Gateway):
    context = ssl.create_default_context(cafile=str(gateway.certificates.ca_file))
    assert httpx2.get(f"{gateway.url}/subjects", verify=context, trust_env=False).status_code == 401
