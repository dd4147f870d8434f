"""The OpenAPI documents as the services publish them, without a running one."""

import json
from importlib import import_module
from typing import Any

from django.test import Client

from devstack.services import SERVICES
from waybill.rest.http import serve_api


def document_of(service: str) -> dict[str, Any]:
    """Return a service's document; this process serves that service from then on."""
    package = SERVICES[service].package
    serve_api(import_module(f"{package}.service").service, import_module(f"{package}.api"))
    return json.loads(Client().get("/v1/openapi.json").content)
