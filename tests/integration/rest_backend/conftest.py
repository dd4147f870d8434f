"""Models of an app whose rows are behind REST: on a real service, or on one that misbehaves."""

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connections
from django.test import Client, override_settings

from tests.support import collection_server
from tests.support.library import ALIAS
from tests.support.library.models import Author, Book, Copy, Tag

BACKEND = "waybill.rest_backend"
ADMIN = [f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "messages")]
LOCAL = [
    ("contenttypes", "ContentType"),
    ("auth", "Permission"),
    ("auth", "Group"),
    ("auth", "User"),
    ("admin", "LogEntry"),
]
BUILTINS = [f"{BACKEND}.middleware.form_versions"]
CONTEXT = [
    "django.template.context_processors.request",
    "django.contrib.auth.context_processors.auth",
    "django.contrib.messages.context_processors.messages",
]


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


@pytest.fixture
def books(connect, service_url, library):
    """One author with two books, and a service that has every model of the app."""
    connect(service_url, models=["library"])
    author = Author.objects.create(name="Ada")
    return [Book.objects.create(title=title, author=author, pages=20) for title in ("Notes", "Engines")]


@pytest.fixture
def client():
    """A browser."""
    return Client()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The library's pages and its admin, whose own models are on a local database."""
    local = {"ENGINE": "django.db.backends.sqlite3", "NAME": tmp_path_factory.mktemp("local") / "local.sqlite"}
    connections.settings["local"] = connections.configure_settings({"default": {}, "local": local})["local"]
    with override_settings(
        ALLOWED_HOSTS=["testserver"],
        INSTALLED_APPS=[*settings.INSTALLED_APPS, *ADMIN],
        ROOT_URLCONF="tests.support.library.pages",
        MIDDLEWARE=[
            f"{BACKEND}.middleware.incoming.pass_on",
            "django.contrib.messages.middleware.MessageMiddleware",
            "tests.support.library.pages.as_staff",
            f"{BACKEND}.middleware.own_writes.read_own_writes",
            f"{BACKEND}.middleware.unavailable.UnavailablePage",
            f"{BACKEND}.middleware.form_versions.keep_form_versions",
            f"{BACKEND}.middleware.form_errors.FormErrors",
        ],
        MESSAGE_STORAGE="django.contrib.messages.storage.cookie.CookieStorage",
        DATABASE_ROUTERS=["tests.support.library.pages.LocalRouter", f"{BACKEND}.router.ServiceRouter"],
        TEMPLATES=[{**settings.TEMPLATES[0], "OPTIONS": {"context_processors": CONTEXT, "builtins": BUILTINS}}],
    ):
        with connections["local"].schema_editor() as editor:
            for app, model in LOCAL:
                editor.create_model(apps.get_model(app, model))
        apps.get_model("auth", "User").objects.create(pk=1, username="staff")
        yield
        apps.get_model("contenttypes", "ContentType").objects.clear_cache()  # it knows keys of this database
    connections["local"].close()
    del connections["local"], connections.settings["local"]
