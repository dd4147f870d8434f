"""Other versions of a service's code: copies of the checkout with what a release really changes.

`next_version` has a migration that expands, and a new version of an event, with a field that has a default: its
programs write that event version, which other code reads by the registered schema. `last_version` has a migration that
contracts besides. The others are as nobody should release them.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devstack.folder import CHECKOUT
from devstack.release import sources
from devstack.services import SERVICES

FIELD: Final = {
    "name": "campaign",
    "type": "string",
    "default": "",
    "doc": "What led the customer here; empty: unknown.",
}
MIGRATION: Final = '''"""{doc}"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("{app}", "{after}")]
    operations = [{operation}]
'''
EXPANDS: Final = 'migrations.AddField("{model}", "campaign", models.TextField(db_default=""))'
CONTRACTS: Final = 'migrations.RemoveField("{model}", "campaign")'
LOCKS: Final = 'migrations.AddIndex("{model}", models.Index(fields=["status"], name="{app}_by_status"))'
ENDS: Final = """

def work(*_given: object) -> None:
    raise RuntimeError("this version does not start")
"""


@dataclass(frozen=True)
class Change:
    """What a service's next version changes: the topic and name of an event, and a model."""

    topic: str
    event: str
    model: str


CHANGES: Final[Mapping[str, Change]] = {
    "order": Change("order.events.v1", "OrderPlaced", "orderrow"),
    "inventory": Change("inventory.events.v1", "StockReserved", "reservationrow"),
    "payment": Change("payment.events.v1", "PaymentCharged", "paymentrow"),
    "notification": Change("notification.events.v1", "NotificationSent", "notificationrow"),
}


@dataclass(frozen=True)
class Version:
    """A copy of the checkout."""

    folder: Path
    service: str
    event_version: int = 0  # of the service's changed event; 0: none was changed


def next_version(folder: Path, service: str) -> Version:
    """Return a version with a migration that expands and a new event version."""
    version = copied(folder, service)
    migrate(version, "campaign", EXPANDS)
    return widen(version)


def last_version(folder: Path, service: str) -> Version:
    """Return the version after it, which does without the column and drops it."""
    version = next_version(folder, service)
    migrate(version, "contract_campaign", CONTRACTS)
    return version


def locking_version(folder: Path, service: str) -> Version:
    """Return a version whose migration locks a table for as long as an index is built."""
    version = copied(folder, service)
    migrate(version, "by_status", LOCKS)
    return version


def broken_version(folder: Path, service: str) -> Version:
    """Return a version whose worker ends at its start."""
    version = next_version(folder, service)
    with (folder / "waybill" / "tasks" / "worker.py").open("a") as file:
        file.write(ENDS)
    return version


def copied(folder: Path, service: str) -> Version:
    """Return the checkout's own code."""
    for name in (*sources.PARTS, *(one.package for one in SERVICES.values())):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, folder / name, ignore=sources.NOT_CODE)
        else:
            shutil.copy2(CHECKOUT / name, folder / name)
    return Version(folder, service)


def migrate(version: Version, name: str, operation: str) -> None:
    """Add a migration behind the service's last."""
    app = SERVICES[version.service].package
    migrations = version.folder / app / "migrations"
    after = max(path.stem for path in migrations.glob("0*.py"))
    text = operation.format(model=CHANGES[version.service].model, app=app)
    number = int(after[:4]) + 1
    file = migrations / f"{number:04}_{name}.py"
    file.write_text(MIGRATION.format(doc=name, app=app, after=after, operation=text))


def widen(version: Version) -> Version:
    """Give the service's event a version more, with a field that has a default."""
    change = CHANGES[version.service]
    topic = version.folder / "schemas" / change.topic
    last = max(int(re.findall(r"\.v(\d+)\.", path.name)[0]) for path in topic.glob(f"{change.event}.v*.avsc"))
    schema = json.loads((topic / f"{change.event}.v{last}.avsc").read_text())
    schema["fields"].append(FIELD)
    (topic / f"{change.event}.v{last + 1}.avsc").write_text(json.dumps(schema, indent=2) + "\n")
    (version.folder / "docs").mkdir(exist_ok=True)
    for step in ("generate", "release"):
        command = [sys.executable, "-m", "waybill", "contracts", step]
        subprocess.run(command, cwd=version.folder, check=True, capture_output=True)
    return Version(version.folder, version.service, last + 1)
