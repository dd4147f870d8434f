"""The PostgreSQL URL of a database as a Django project's own settings describe it."""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

from psycopg import pq

NAMES: Final = {"dbname": "NAME", "user": "USER", "password": "PASSWORD", "host": "HOST", "port": "PORT"}


def url_of(described: Mapping[str, Any]) -> str:
    """Return the URL, with those of OPTIONS that libpq knows. Raises ValueError where it is no PostgreSQL database."""
    engine = described.get("ENGINE", "")
    if "postg" not in engine:
        raise ValueError(f"ENGINE is {engine!r}; the outbox and the inbox need PostgreSQL")
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    parameters = {name: described.get(setting) for name, setting in NAMES.items()}
    parameters |= {name: value for name, value in described.get("OPTIONS", {}).items() if name in known}
    return f"postgresql:///?{urlencode({n: v for n, v in parameters.items() if v not in (None, '')}, quote_via=quote)}"
