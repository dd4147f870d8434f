"""Django's settings, built from a service's own: one database, no sessions, no users, no settings module."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from secrets import token_urlsafe
from typing import Any, Final

import django
import psycopg
from django.conf import settings
from django.db.backends.signals import connection_created

from waybill.database import arrays, pooler, postgres_client
from waybill.secret_settings import Masked

LIBRARY_APPS = ("waybill.outbox", "waybill.inbox", "waybill.tasks", "waybill.rest")
SILENCED: Final = [
    "security.W001",  # SecurityMiddleware: the server adds its headers, also to answers that are not Django's
    "security.W002",  # XFrameOptionsMiddleware: likewise (waybill.rest.serving.security_headers)
    "security.W003",  # CsrfViewMiddleware: callers are known by a bearer token, which no browser sends by itself
]
WEB_APPS = ("django.contrib.staticfiles", "ninja")  # the API's documentation page


@dataclass(frozen=True, slots=True)
class Web:
    """What a program that answers clients is told beside."""

    allowed_hosts: tuple[str, ...]
    max_body_bytes: int
    own: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Django's settings that stand in place of those here."""


def database(url: str, program: str = "waybill", *, pooled: bool = False, **session: str) -> dict[str, Any]:
    """Return Django's description of the database behind a PostgreSQL URL, as seen by a program.

    `session`: settings of its sessions, beside those that all rely on.
    """
    options = {"prepare_threshold": 3, **postgres_client.parameters(url, program, session, pooled=pooled)}
    options |= {name: Masked(value) for name, value in options.items() if "password" in name}
    return {
        "ENGINE": "waybill.database.engine",
        "URL": Masked(url),  # the engine's: it connects with the password of then
        "NAME": options.pop("dbname", ""),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "CONN_MAX_AGE": None,
        "DISABLE_SERVER_SIDE_CURSORS": pooled,
        "OPTIONS": {**options, "server_side_binding": True},
    }


def configure_django(
    services: tuple[str, ...],
    url: str,
    program: str = "waybill",
    *,
    web: Web | None = None,
    pooled: bool = False,
    **session: str,
) -> None:
    """Configure Django for these services on one database; once a process."""
    given = _settings(services, url, program, web, pooled=pooled, session=session)
    settings.configure(**{**given, **(web.own if web else {})})
    django.setup()
    arrays.install()
    relied_on = {**postgres_client.RELIED_ON, **session}
    connection_created.connect(partial(_check, pooled, relied_on), weak=False, dispatch_uid="pooler")


def _settings(
    services: tuple[str, ...], url: str, program: str, web: Web | None, *, pooled: bool, session: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "ALLOWED_HOSTS": list(web.allowed_hosts) if web else [],
        "DATABASES": {"default": database(url, program, pooled=pooled, **session)},
        "DATA_UPLOAD_MAX_MEMORY_SIZE": web.max_body_bytes if web else None,
        "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
        "INSTALLED_APPS": [*(WEB_APPS if web else ()), "django_outbox_pattern", *LIBRARY_APPS, *services],
        "LOGGING_CONFIG": None,
        "MIDDLEWARE": [
            "waybill.rest.middleware.requests.request_context",
            "waybill.rest.middleware.negotiation.negotiated",
        ],
        "ROOT_URLCONF": "waybill.rest.http",
        "SECRET_KEY": Masked(token_urlsafe(64)),  # nothing is signed with it: no sessions, no cookies, no forms
        "SILENCED_SYSTEM_CHECKS": SILENCED,
        "STATIC_URL": "/static/",
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        "TIME_ZONE": "UTC",
        "USE_TZ": True,
    }


def _check(pooled: bool, relied_on: Mapping[str, str], *, connection: Any, **_: Any) -> None:
    if connection.vendor != "postgresql":
        return
    try:
        pooler.check(connection.connection, relied_on, pooled=pooled)
    except psycopg.Error:
        connection.close()
        raise
