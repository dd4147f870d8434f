"""The database that this process's Django talks to."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from waybill.runtime.django_settings import database


@contextmanager
def in_use(url: str) -> Iterator[None]:
    """Make a database the one that this process's Django talks to; afterwards it is the one of before again."""
    before = dict(connection.settings_dict)
    connection.close()
    connection.settings_dict.update(database(url))
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)
