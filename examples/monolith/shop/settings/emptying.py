"""What tests do before each other with services whose rows may all be deleted."""

import os

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import router


def empty(connection):
    """Delete every row of a service's models. Raises where nobody said that the services are there for tests."""
    if os.environ.get("SERVICES_ARE_FOR_TESTS") != "1":
        raise ImproperlyConfigured(
            f"The tests would delete every row at {connection.settings_dict['NAME']}: start services with databases "
            "of their own for them, and set SERVICES_ARE_FOR_TESTS=1."
        )
    for model in reversed(list(apps.get_models())):
        if router.db_for_write(model) == connection.alias:
            rows = model._base_manager.using(connection.alias)
            rows.filter(pk__in=list(rows.values_list("pk", flat=True)))._raw_delete(connection.alias)
