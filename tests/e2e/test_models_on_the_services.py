"""A Django project whose models live on the four running services reads them as rows of its own database."""

import re
from contextlib import ExitStack

import pytest
from django.apps import apps
from django.conf import settings
from django.core.paginator import Paginator
from django.db import NotSupportedError, ProgrammingError, connections
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from tests.support.back_office.models import Notification, Order, Payment, Product, Reservation

MODELS = {
    "order": (Order,),
    "inventory": (Product, Reservation),
    "payment": (Payment,),
    "notification": (Notification,),
}
SCOPES = "orders:all inventory operations"


@pytest.fixture(scope="module", autouse=True)
def project(shop):
    """Django's settings, as such a project has them."""
    token = shop.stack.token("back-office", SCOPES)
    databases = {
        service: {
            "ENGINE": "waybill.rest_backend",
            "NAME": f"{shop.stack.urls[service]}/v1/collections",
            "OPTIONS": {"models": [model._meta.label_lower for model in models], "token": lambda: token},
        }
        for service, models in MODELS.items()
    }
    configured = connections.configure_settings({"default": {}, **databases})
    connections.settings |= {service: configured[service] for service in MODELS}
    installed = [*settings.INSTALLED_APPS, "tests.support.back_office"]
    with override_settings(INSTALLED_APPS=installed, DATABASE_ROUTERS=["waybill.rest_backend.router.ServiceRouter"]):
        apps.clear_cache()  # a test that used the models before knew of no relation between them
        yield
    for service in MODELS:
        connections[service].close()
        del connections[service], connections.settings[service]


@pytest.fixture(scope="module")
def sku(shop):
    return shop.product(100)


@pytest.fixture(scope="module")
def placed(shop, sku):
    """The ids of three orders, of which the last one is not paid for, once everybody knows of them."""
    methods = ("tok_ok", "tok_ok", "tok_declined")
    ids = [shop.at_rest(shop.order(sku, number, method=method))["id"] for number, method in enumerate(methods, 1)]
    shop.until(lambda: Notification.objects.filter(pk__in=ids).count() == len(ids), "all are told")
    return ids


@pytest.fixture
def calls():
    """Count the calls to each service."""
    with ExitStack() as stack:
        caught = {name: stack.enter_context(CaptureQueriesContext(connections[name])) for name in MODELS}
        yield lambda: {name: len(one.captured_queries) for name, one in caught.items() if len(one.captured_queries)}


def ids_of(orders):
    return [str(order.pk) for order in orders]


def test_orders_are_filtered_sorted_sliced_and_counted(placed, calls):
    mine = Order.objects.filter(pk__in=placed)
    assert ids_of(mine.filter(status="CONFIRMED").order_by("-created_at")) == placed[1::-1]
    assert ids_of(mine.order_by("created_at")[1:2]) == [placed[1]]
    assert (mine.count(), mine.exclude(status="CONFIRMED").count()) == (3, 1)
    assert calls() == {"order": 4}
    pages = Paginator(mine.order_by("order_id"), 2)
    assert [ids_of(page) for page in pages] == [placed[:2], placed[2:]]


def test_what_other_services_have_of_orders_is_prefetched_in_one_call_each(placed, sku, calls):
    related = ("payment", "reservation", "notification")
    found = list(Order.objects.filter(pk__in=placed).order_by("created_at").prefetch_related(*related))
    assert [order.payment.status for order in found] == ["CHARGED", "CHARGED", "DECLINED"]
    assert [order.payment.amount == order.total for order in found] == [True] * 3
    assert [order.reservation.status for order in found] == ["COMMITTED", "COMMITTED", "RELEASED"]
    assert [list(order.notification.notices) for order in found] == [
        ["ORDER_CONFIRMED"],
        ["ORDER_CONFIRMED"],
        ["ORDER_CANCELLED"],
    ]
    assert calls() == {"order": 1, "inventory": 1, "payment": 1, "notification": 1}
    assert Product.objects.in_bulk([found[0].lines[0]["sku"]])[sku].on_hand == 97


def test_a_filter_crosses_from_one_service_to_another(placed):
    paid = Payment.objects.filter(order__in=Order.objects.filter(pk__in=placed, status="CANCELLED"))
    assert [payment.status for payment in paid.select_related("order")] == ["DECLINED"]


def test_a_row_that_is_not_there_is_djangos_404(placed):
    with pytest.raises(Http404):
        get_object_or_404(Order, pk="01a1fdef-cb60-72cc-9cdd-70bd5c187fc1")


def test_what_no_index_answers_is_refused_by_name(placed):
    with pytest.raises(NotSupportedError, match="total__gt"):
        list(Order.objects.filter(total__gt=1))
    with pytest.raises(NotSupportedError, match="'total' is no field"):
        list(Order.objects.order_by("total"))


def test_a_write_is_an_error_that_names_the_command(placed):
    order = Order.objects.get(pk=placed[0])
    with pytest.raises(ProgrammingError, match=re.escape("POST /v1/orders, POST /v1/orders/{order_id}/cancel")):
        order.save()
    with pytest.raises(ProgrammingError, match=re.escape("PUT /v1/products/{sku}")):
        Product.objects.filter(pk="T-1").update(name="Lamp")
    assert Order.objects.get(pk=placed[0]).created_at == order.created_at
