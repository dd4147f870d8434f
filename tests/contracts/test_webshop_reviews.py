"""A review that a customer writes by the webshop's form, which a service in Go keeps, is an event on a topic."""

import uuid

import httpx2
import psycopg
import pytest

from tests.storefront import services
from tests.storefront.settings import storefront_on_services
from tests.storefront.visitor import Visitor
from tests.support.reviews import topic

AUTHOR = "Walter Wood"
WRITTEN = "SELECT id, product_id FROM reviews WHERE author = %s"


@pytest.fixture(scope="module")
def catalogue_and_shop(reviews_service, tmp_path_factory):
    """Give the addresses of the catalogue and of a shop whose reviews the service in Go keeps."""
    with (
        storefront_on_services(tmp_path_factory.mktemp("shop")) as shop,
        services.running(shop, ["catalogue", "customers", "orders"], "topic") as variables,
        shop.serving("topic", "services", variables | {"REVIEWS_URL": reviews_service.url}) as url,
    ):
        yield variables["CATALOGUE_URL"], url


@pytest.mark.slow
@pytest.mark.timeout(900)  # a cold download and build are within it
def test_a_review_by_the_webshops_form_is_an_event_that_the_relay_published(catalogue_and_shop, reviews_service, stack):
    catalogue, shop = catalogue_and_shop
    headers = {"Authorization": f"Bearer {services.TOKEN}"}
    asked = {"stock__gt": 0, "on_sale": "true", "limit": 1}
    (product,) = httpx2.get(f"{catalogue}/products", params=asked, headers=headers).raise_for_status().json()["items"]
    request_id = uuid.uuid4().hex
    with httpx2.Client(base_url=shop, follow_redirects=True, timeout=20) as client:
        walter = Visitor(client)
        walter.sign_up("walter", AUTHOR)
        walter.buy(product["id"])
        review = {"stars": 5, "text": "Boils in a minute."}
        page = walter.send(f"/products/{product['id']}/review/", request_id=request_id, **review)
        assert "Thank you for your review." in page.text
        assert "Boils in a minute." in page.text

    with psycopg.connect(reviews_service.database.service_url) as connection:
        ((key, of_product),) = connection.execute(WRITTEN, [AUTHOR]).fetchall()
    assert of_product == product["id"]
    records = topic.published(reviews_service.database, stack)
    (record,) = (record for record in records if record.key == str(key))
    assert (record.headers["ce_type"], record.version) == ("reviews.ReviewWritten", 1)
    assert record.headers["ce_correlationid"] == request_id
    assert topic.read(stack, record) == {"review_id": key, "product_id": of_product, "stars": 5, "published": True}
