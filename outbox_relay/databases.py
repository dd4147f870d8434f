"""Which service's outbox is in which database: the one grammar of WAYBILL_OUTBOX_DATABASES, for relay and command.

    order_service=postgresql://user@host/orders,payment_service=postgresql://user@first,second/payments

A pair begins after a comma that a name and `=` follow, so a URL may list several hosts. A service has one full name, by
which its records, consumer group and programs are called, and a short one without `_service`, which the command shows.
Either may be written wherever one is asked for.
"""

import re
from collections.abc import Mapping
from typing import Final

from waybill.database.postgres_client import check_url
from waybill.secret_settings import Masked, renew_part

VARIABLE: Final = "WAYBILL_OUTBOX_DATABASES"
SUFFIX: Final = "_service"
# Only a comma before the next `name=`: a URL that lists several hosts has commas of its own.
NEXT_PAIR: Final = re.compile(r",(?=\s*[\w-]+=)")


def full_name(service: str) -> str:
    """Return `order_service` for `order` and for `order_service`."""
    return short_name(service) + SUFFIX


def short_name(service: str) -> str:
    """Return `order` for `order` and for `order_service`."""
    return service.removesuffix(SUFFIX)


def database_urls(text: str) -> Mapping[str, str]:
    """Return full name → URL, as WAYBILL_OUTBOX_DATABASES tells them. Raises ValueError, which names what is wrong."""
    urls = values_by_service(VARIABLE, text)
    for service, url in urls.items():
        try:
            check_url(url)
        except ValueError as error:
            raise ValueError(f"{VARIABLE}: {short_name(service)}: {error}") from None
        renew_part(text, url, lambda now, service=service: values_by_service(VARIABLE, now).get(service))
    return urls


def values_by_service(variable: str, text: str) -> dict[str, str]:
    """Return full name → value of `service=value,service=value`. Raises ValueError, which shows no value."""
    values: dict[str, str] = {}
    for pair in NEXT_PAIR.split(text):
        name, _, value = pair.strip().partition("=")
        if not name or not value or "://" in name:
            raise ValueError(f"{variable}: {name.partition('://')[0]!r} is not service=value")  # may hold a password
        service = full_name(name)
        if service in values:
            raise ValueError(f"{variable}: {service} is given twice, as {short_name(service)} or in full; keep one")
        values[service] = Masked(value)
    return values
