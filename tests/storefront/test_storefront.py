"""The webshop's own tests pass wherever its models live."""

import runpy
from types import SimpleNamespace

import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.storefront.settings import outcomes
from tests.storefront.shop import MONOLITH
from tests.storefront.walk import chromium, walks
from tests.support.environments import Environment

LEAST_TESTS = 100
LEAST_FILES = 80
STEPS = 16


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_webshops_tests_pass_in_one_database_on_services_and_half_and_half(tmp_path):
    found = outcomes(tmp_path)
    assert {settings: outcome.said for settings, outcome in found.items() if outcome.failed} == {}
    passed = {settings: outcome.passed for settings, outcome in found.items()}
    assert passed == dict.fromkeys(("services", "monolith", "mixed"), passed["monolith"])
    assert passed["monolith"] >= LEAST_TESTS
    assert "waybill" not in Environment(tmp_path / "alone").packages()


def test_nothing_of_the_webshop_but_its_settings_knows_of_waybill():
    files = [path for path in (MONOLITH / "shop").rglob("*.*") if path.suffix in (".py", ".html", ".txt")]
    assert len(files) > LEAST_FILES
    assert {path.relative_to(MONOLITH).parts[1] for path in files if "waybill" in path.read_text().lower()} == {
        "settings"
    }


def test_the_webshops_tests_empty_no_service_that_is_not_there_for_them(monkeypatch):
    monkeypatch.delenv("SERVICES_ARE_FOR_TESTS", raising=False)
    empty = runpy.run_path(str(MONOLITH / "shop" / "settings" / "emptying.py"))["empty"]
    with pytest.raises(ImproperlyConfigured, match="would delete every row"):
        empty(SimpleNamespace(settings_dict={"NAME": "https://orders.example/v1"}))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_buyer_and_a_clerk_get_through_the_shop_in_a_browser_wherever_its_models_live(tmp_path):
    browser = chromium()
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    found = walks(tmp_path, browser)
    assert {settings: walk.wrong for settings, walk in found.items()} == {"monolith": [], "services": []}
    for walk in found.values():
        assert walk.steps == len(list(walk.screenshots.glob("*.png"))) >= STEPS
