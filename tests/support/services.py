"""The services' packages, and their modules in a process of its own."""

from devstack import services

SERVICES = tuple(service.package for service in services.SERVICES.values())
PACKAGES = ("schemas", "waybill", *SERVICES, "outbox_relay", "devstack", "catalogue")


def configure() -> None:
    """Let every service's modules be imported; reads and writes no database."""
    import catalogue.configured  # noqa: F401 - configures Django
