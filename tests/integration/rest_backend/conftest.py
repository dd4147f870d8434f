"""Models of an app whose rows are behind REST: on a real service, or on one that misbehaves."""

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.test import override_settings

from tests.support import collection_server
from tests.support.library import ALIAS
from tests.support.library.models import Author, Book, Copy, Tag


@pytest.fixture(scope="session", autouse=True)
def installed():
    with override_settings(INSTALLED_APPS=[*settings.INSTALLED_APPS, "tests.support.library"]):
        apps.clear_cache()  # a test that used the models before knew of no relation between them
        yield


@pytest.fixture(scope="session")
def service_url(tmp_path_factory):
    with collection_server.library(tmp_path_factory.mktemp("library")) as url:
        yield url


@pytest.fixture
def connect():
    """Make a service a database of Django's: `connect(url, timeout=1)`."""

    def closed():
        connections.settings.pop(ALIAS, None)
        if hasattr(connections._connections, ALIAS):
            del connections[ALIAS]

    def connected(url, **options):
        closed()
        database = {"ENGINE": "waybill.rest_backend", "NAME": url, "OPTIONS": options}
        connections.settings[ALIAS] = connections.configure_settings({"default": {}, ALIAS: database})[ALIAS]
        return connections[ALIAS]

    yield connected
    closed()


@pytest.fixture
def library(connect, service_url):
    """The library on an empty service."""
    connection = connect(service_url)
    for model in (Copy, Book.tags.through, Book, Author, Tag):
        rows = model._base_manager.using(ALIAS)
        rows.filter(pk__in=list(rows.values_list("pk", flat=True))).delete()
    return connection
