"""The services' packages, and their modules in a process of its own."""

from pathlib import Path

from devstack import services
from devstack.folder import CHECKOUT

SERVICES = tuple(service.package for service in services.SERVICES.values())
READERS = tuple(service.package for service in services.EVERY.values() if not service.decides)
PACKAGES = ("schemas", "waybill", *SERVICES, *READERS, "outbox_relay", "devstack", "catalogue")


def configure() -> None:
    """Let every service's modules be imported; reads and writes no database."""
    import catalogue.configured  # noqa: F401 - configures Django


def files_of(service: str, module: str) -> list[Path]:
    """The file of a service's module; of a package those of its modules, `__init__` last."""
    folder = CHECKOUT / service / module
    if not folder.is_dir():
        return [folder.with_suffix(".py")]
    return sorted(folder.glob("*.py"), key=lambda file: (file.stem == "__init__", file))
