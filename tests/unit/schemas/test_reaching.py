"""What a registry's settings get wrong is one line that names the setting and shows no secret; nothing is called."""

from collections.abc import Callable

import pytest

from waybill.contracts.command import main

SETTINGS = ("USER", "PASSWORD", "TOKEN", "CA_FILE", "CERTIFICATE_FILE", "KEY_FILE")
Step = Callable[..., tuple[int, str]]


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Step:
    """Give `python -m waybill contracts register`: settings to exit code and what it says."""

    def register(url: str, **settings: str) -> tuple[int, str]:
        monkeypatch.setenv("WAYBILL_REGISTRY_URL", url)
        monkeypatch.setenv("WAYBILL_OWNER_DATABASE_URLS", "postgresql://me:hidden@127.0.0.1/order")
        for name in SETTINGS:
            monkeypatch.setenv(f"WAYBILL_REGISTRY_{name}", settings.get(name.lower(), ""))
        code = main(["register", "--wait", "0.1"])
        said = capsys.readouterr()
        assert "hidden" not in said.out + said.err
        assert len(said.err.splitlines()) == 1
        return code, said.err

    return register


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"user": "me"}, "WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_PASSWORD are set together or not at all"),
        ({"password": "hidden"}, "WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_PASSWORD are set together or not at all"),
        ({"user": "me", "password": "hidden", "token": "hidden"}, "WAYBILL_REGISTRY_TOKEN are both set"),
        ({"user": "a:b", "password": "hidden"}, "WAYBILL_REGISTRY_USER has a colon"),
        ({"token": "hidden\nX: y"}, "WAYBILL_REGISTRY_TOKEN is no bearer token"),
        ({"key_file": "/k"}, "WAYBILL_REGISTRY_KEY_FILE is set without WAYBILL_REGISTRY_CERTIFICATE_FILE"),
        ({"ca_file": "/nowhere.pem"}, "WAYBILL_REGISTRY_CA_FILE: /nowhere.pem: No such file or directory"),
        ({"ca_file": __file__}, f"WAYBILL_REGISTRY_CA_FILE: {__file__}: TLS: "),
        ({"certificate_file": "/nowhere.pem"}, "WAYBILL_REGISTRY_CERTIFICATE_FILE: /nowhere.pem: No such file"),
    ],
)
def test_settings_that_cannot_work_are_named(step: Step, settings: dict[str, str], line: str) -> None:
    code, said = step("https://127.0.0.1:1/apis", **settings)
    assert code == 1
    assert line in said


@pytest.mark.parametrize(
    "url", ["registry:8080", "ftp://me:hidden@registry", "http://me:hidden@registry:x/", "http:///"]
)
def test_a_url_that_is_none_is_named_without_its_password(step: Step, url: str) -> None:
    assert step(url) == (1, "contracts: WAYBILL_REGISTRY_URL is none of a registry; write http://host:port/path\n")
