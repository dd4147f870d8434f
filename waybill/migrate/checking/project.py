"""What the project's settings and files say; asks no database."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django.apps import apps
from django.conf import settings
from django.core import checks

from waybill.application import ApplicationUnknown, application
from waybill.contracts import compatibility, contracts, generate, released
from waybill.contracts.fields import ContractError
from waybill.migrate.checking.items import Item, item
from waybill.migrate.mapping import document
from waybill.migrate.mapping.document import MappingError

NEEDED: Final = ("waybill.outbox", "waybill.migrate")
NEEDED_TO_COME_BACK: Final = "waybill.inbox"
NOT_OURS: Final = {"node_modules", "site-packages", "venv", "env", "build", "dist"}
LARGEST_FILE: Final = 1_000_000


def look(mapping: Path) -> Iterator[Item]:
    """Yield what is about the project itself."""
    yield _tests(Path.cwd())
    yield _times()
    yield _apps()
    if all(apps.is_installed(name) for name in NEEDED):
        yield _settings()
        yield _contracts()
        yield _mapping(mapping)


def _tests(folder: Path) -> Item:
    """Count test functions in files named as tests; whether they pass is for whoever runs them."""
    files = tests = 0
    for at, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in NOT_OURS]
        for name in names:
            path = Path(at, name)
            if _is_test(path) and path.stat().st_size < LARGEST_FILE:
                found = path.read_text(encoding="utf-8", errors="replace").count("def test_")
                tests, files = tests + found, files + bool(found)
    return item(
        "tests",
        f"{tests} tests in {files} files below {folder.name}",
        "Write tests of the pages that will move: they must pass alike before and after each step.",
        ok=tests > 0,
    )


def _is_test(path: Path) -> bool:
    return path.suffix == ".py" and (
        path.stem.startswith("test") or path.stem.endswith("_test") or path.parent.name == "tests"
    )


def _times() -> Item:
    return item(
        "time zone",
        f"USE_TZ is {settings.USE_TZ}, TIME_ZONE is {settings.TIME_ZONE}",
        "Set USE_TZ = True, or name the zone of each time in the mapping: zone = 'Europe/Berlin'.",
        ok=bool(settings.USE_TZ),
        required=False,
    )


def _apps() -> Item:
    missing = [name for name in NEEDED if not apps.is_installed(name)]
    text = f"not in INSTALLED_APPS: {', '.join(missing)}" if missing else "outbox and queue are installed"
    if not missing and not apps.is_installed(NEEDED_TO_COME_BACK):
        text += f"; without {NEEDED_TO_COME_BACK}, rows cannot come back"
    do = "Add django_outbox_pattern, waybill.outbox, waybill.inbox and waybill.migrate; docs/tutorial.md."
    return item("apps", text, do, ok=not missing)


def _settings() -> Item:
    """Ask Django's own checks of the outbox."""
    wrong = [one for one in checks.run_checks() if str(one.id).startswith("waybill.E")]
    found = "; ".join(one.msg for one in wrong) or "manage.py check finds nothing wrong with the outbox"
    return item("settings", found, " ".join(str(one.hint) for one in wrong if one.hint), ok=not wrong)


def _contracts() -> Item:
    try:
        known = contracts.load()
        wrong = [*compatibility.problems(known), *released.problems(known)]
        wrong += [f"{path.name} is stale" for path in generate.stale()]
    except (ContractError, ApplicationUnknown) as error:
        return item("contracts", str(error), "Correct the .avsc files below WAYBILL['SCHEMAS'].", ok=False)
    if not known:
        wrong = [f"there is no event in {application().schemas}"]
    found = wrong[0] + (f", and {len(wrong) - 1} more" if wrong[1:] else "") if wrong else f"{len(known)} are released"
    return item("contracts", found, "python manage.py contracts generate, release, check", ok=not wrong)


def _mapping(path: Path) -> Item:
    try:
        mapped = document.load(path)
    except MappingError as error:
        return item("mapping", str(error), "Write it: docs/how-to/move-rows-to-a-service.md.", ok=False)
    return item("mapping", f"{path.name} has {', '.join(mapped.aggregates)}; next: waybill migrate plan", ok=True)
