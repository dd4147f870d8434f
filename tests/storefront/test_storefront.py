"""The webshop's own tests pass wherever its models live."""

import runpy
from types import SimpleNamespace

import httpx2
import pytest
from django.core.exceptions import ImproperlyConfigured

from tests.storefront import services
from tests.storefront.settings import HALF, outcomes, storefront
from tests.storefront.shop import MONOLITH
from tests.storefront.walk import chromium, walks
from tests.support.providers.process import free_port
from waybill.rest_backend.middleware.unavailable import USUAL_SECONDS

LEAST_TESTS = 100
LEAST_FILES = 80
STEPS = 16


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    """Give the shop with and without Waybill in its environment."""
    with storefront(tmp_path_factory.mktemp("storefront")) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_webshops_tests_pass_in_one_database_on_services_and_half_and_half(shops):
    found = outcomes(shops, HALF, go=services.why_not_go() is None)
    assert {name: outcome.said for name, outcome in found.items() if outcome.failed} == {}
    passed = {name: outcome.passed for name, outcome in found.items()}
    assert passed == dict.fromkeys(("services", "monolith", *HALF), passed["monolith"])
    assert passed["monolith"] >= LEAST_TESTS
    assert "waybill" not in shops[0].environment.packages()


def test_nothing_of_the_webshop_but_its_settings_knows_of_waybill():
    files = [path for path in (MONOLITH / "shop").rglob("*.*") if path.suffix in (".py", ".html", ".txt")]
    assert len(files) > LEAST_FILES
    assert {path.relative_to(MONOLITH).parts[1] for path in files if "waybill" in path.read_text().lower()} == {
        "settings"
    }


def test_an_app_that_the_shop_has_not_is_refused_by_name(shops):
    _, beside = shops
    said = beside.test("services", "unknown", {"SHOP_ON_SERVICES": "orders,refunds"})
    assert "SHOP_ON_SERVICES names refunds; there are catalogue, customers, orders, reviews" in said.said


def test_the_webshops_tests_empty_no_service_that_is_not_there_for_them(monkeypatch):
    monkeypatch.delenv("SERVICES_ARE_FOR_TESTS", raising=False)
    empty = runpy.run_path(str(MONOLITH / "shop" / "settings" / "emptying.py"))["empty"]
    with pytest.raises(ImproperlyConfigured, match="would delete every row"):
        empty(SimpleNamespace(settings_dict={"NAME": "https://orders.example/v1"}))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_buyer_and_a_clerk_get_through_the_shop_in_a_browser_wherever_its_models_live(shops, tmp_path):
    browser = chromium()
    if browser is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    found = walks(shops, tmp_path, browser, go=services.why_not_go() is None)
    assert {settings: walk.wrong for settings, walk in found.items()} == {"monolith": [], "services": []}
    for walk in found.values():
        assert walk.steps == len(list(walk.screenshots.glob("*.png"))) >= STEPS


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_page_of_the_webshop_says_that_a_service_is_away_and_when_to_come_again(shops):
    _, beside = shops
    with (
        services.running(beside, ["catalogue"], "away") as variables,
        beside.serving("away", "services", variables | away(), demo=False) as url,
        httpx2.Client(base_url=url, timeout=20) as client,
    ):
        headers = {"Authorization": f"Bearer {services.TOKEN}"}
        kettle = {"name": "Kettle", "price": "19.90", "stock": 3, "created_at": "2026-01-31T12:00:00Z"}
        made = httpx2.post(f"{variables['CATALOGUE_URL']}/products", json=kettle, headers=headers)
        page = client.get(f"/products/{made.raise_for_status().json()['id']}/")
        assert (page.status_code, page.headers["Retry-After"]) == (503, str(USUAL_SECONDS))
        assert "We are back soon" in page.text
        assert "no-store" in page.headers["Cache-Control"]
        assert "Kettle" in client.get("/").raise_for_status().text  # it needs no reviews


def away():
    """Give addresses where nobody listens."""
    return {f"{name.upper()}_URL": f"http://127.0.0.1:{free_port()}/v1" for name in services.NAMES[1:]}
