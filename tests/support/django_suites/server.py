"""A generic service: every model of any apps by `waybill.rest.collections`, from a PostgreSQL database of its own.

python -m tests.support.django_suites.server PORT DATABASE APP... prints its address, and serves until its input ends.
"""

import sys
from typing import Final

import django
from django.apps import apps
from django.conf import settings

from devstack.ports import HOST
from tests.support import collection_server

# With what tests/runtests.py installs by itself.
ALWAYS: Final = (
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sites",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.staticfiles",
)


def main(port: str, name: str, *installed: str) -> None:
    address = {"HOST": HOST, "PORT": port, "NAME": name, "USER": "postgres"}
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.postgresql", "CONN_MAX_AGE": None, **address}},
        INSTALLED_APPS=[*ALWAYS, "waybill.rest", *installed],
        ROOT_URLCONF="tests.support.django_suites.urls",
        ALLOWED_HOSTS=["*"],
        SECRET_KEY="of a test",
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        USE_TZ=True,
        DATA_UPLOAD_MAX_MEMORY_SIZE=None,
        MIGRATION_MODULES=dict.fromkeys(("admin", "auth", "contenttypes", "sessions", "sites")),
        SILENCED_SYSTEM_CHECKS=["fields.W342"],
    )
    django.setup()
    from django.db.backends.signals import connection_created
    from django.db.models.signals import post_migrate

    from tests.support.django_suites import baseline

    connection_created.connect(baseline.watch)
    post_migrate.receivers = []  # the Django in front makes these rows
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.local_fields:
            if field.is_relation:
                field.db_constraint = False  # Django's tests put rows in whatever sequence transactions allow
    collection_server.create_tables()
    collection_server.serve_until_input_ends()


if __name__ == "__main__":
    main(*sys.argv[1:])
