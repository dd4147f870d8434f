"""The order service's API in this process, with no database: what is settled before an endpoint is asked."""

from importlib import import_module

import pytest
from django.test import Client

from waybill.rest.http import serve_api


@pytest.fixture
def client():
    serve_api(import_module("order_service.service").service, import_module("order_service.api"))
    return Client()
