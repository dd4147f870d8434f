"""The services' packages, and their modules in a process of its own: they read their settings when imported."""

import os

from devstack import services
from waybill.runtime.django_settings import configure_django

SERVICES = tuple(service.package for service in services.SERVICES.values())
PACKAGES = ("schemas", "waybill", *SERVICES, "outbox_relay", "devstack", "catalogue")
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"  # nothing connects to this address


def configure() -> None:
    """Let every service's modules be imported; reads and writes no database."""
    os.environ.setdefault("WAYBILL_DATABASE_URL", NOWHERE)
    configure_django(SERVICES, os.environ["WAYBILL_DATABASE_URL"])
