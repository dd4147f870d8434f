"""What clients may filter a service's collections by, and order them by, has an index."""

from importlib import import_module

import pytest

from devstack.services import SERVICES
from tests.support import services
from waybill.rest.collections import Collection

services.configure()
COLLECTIONS = {
    f"{service}/{name}": one
    for service in SERVICES
    for name, one in vars(import_module(f"{service}_service.api")).items()
    if isinstance(one, Collection)
}


def indexed(model):
    """The columns that an index begins with."""
    meta = model._meta
    return {meta.pk.attname, *(index.fields[0].lstrip("-") for index in meta.indexes)}


def test_every_service_has_a_collection():
    assert {name.partition("/")[0] for name in COLLECTIONS} == set(SERVICES)


@pytest.mark.parametrize("name", COLLECTIONS)
def test_what_a_collection_is_filtered_and_sorted_by_has_an_index(name):
    one = COLLECTIONS[name]
    assert {*one.lookups, *one.sorted_by} - indexed(one.model) == set()


@pytest.mark.parametrize("name", [name for name, one in COLLECTIONS.items() if "customer_id" in one.fields])
def test_a_customers_own_rows_are_found_by_an_index_in_the_order_of_their_key(name):
    model = COLLECTIONS[name].model
    assert ["customer_id", f"-{model._meta.pk.attname}"] in [index.fields for index in model._meta.indexes]


@pytest.mark.parametrize("name", COLLECTIONS)
def test_no_collection_serves_what_pays(name):
    assert "payment_method" not in COLLECTIONS[name].fields
