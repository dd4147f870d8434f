"""Django's settings, built from a service's own: one database, no sessions, no users, no settings module."""

from typing import Any

import django
from django.conf import settings

from chassis import arrays
from schemas import postgres_client

WEB_APPS = ("django.contrib.staticfiles", "ninja")  # the API's documentation page


def database(url: str, program: str = "chassis", **session: str) -> dict[str, Any]:
    """Return Django's description of the database behind a PostgreSQL URL, as seen by a program.

    `session`: settings of its sessions, beside those that all rely on.
    """
    options = postgres_client.parameters(url, program, session)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": options.pop("dbname", ""),
        "USER": options.pop("user", ""),
        "PASSWORD": options.pop("password", ""),
        "HOST": options.pop("host", ""),
        "PORT": options.pop("port", ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": {**options, "server_side_binding": True, "prepare_threshold": 3},
    }


def configure_django(
    services: tuple[str, ...],
    url: str,
    program: str = "chassis",
    *,
    web: bool = False,
    max_body_bytes: int = 1_000_000,
    **session: str,
) -> None:
    """Configure Django for these services on one database; once a process."""
    settings.configure(
        ALLOWED_HOSTS=["*"],  # the gateway in front decides on host names
        DATABASES={"default": database(url, program, **session)},
        DATA_UPLOAD_MAX_MEMORY_SIZE=max_body_bytes,
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[*(WEB_APPS if web else ()), "django_outbox_pattern", "chassis", *services],
        LOGGING_CONFIG=None,
        MIDDLEWARE=["chassis.http.request_context"],
        ROOT_URLCONF="chassis.http",
        SECRET_KEY="unused: nothing is signed with it",  # noqa: S106 - no sessions, no cookies, no forms
        STATIC_URL="/static/",
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        TIME_ZONE="UTC",
        USE_TZ=True,
    )
    django.setup()
    arrays.install()
