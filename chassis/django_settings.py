"""Django's settings, built from a service's own: one database, no sessions, no users, no settings module."""

from typing import Any
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings

from chassis import arrays

WEB_APPS = ("django.contrib.staticfiles", "ninja")  # the API's documentation page


def database(url: str) -> dict[str, Any]:
    """Return Django's description of the database behind a PostgreSQL URL."""
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "",
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": None,
        "OPTIONS": {"connect_timeout": 5, "server_side_binding": True, "prepare_threshold": 3},
    }


def configure_django(
    services: tuple[str, ...], url: str, *, web: bool = False, max_body_bytes: int = 1_000_000
) -> None:
    """Configure Django for these services on one database; once a process."""
    settings.configure(
        ALLOWED_HOSTS=["*"],  # the gateway in front decides on host names
        DATABASES={"default": database(url)},
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
