"""What the library is told of the application that uses it, in one place.

Where Django is configured that is its setting `WAYBILL`, a dict with the names below in capitals. Else the environment
(`WAYBILL_EVENTS`, `WAYBILL_SCHEMAS`, `WAYBILL_DOCUMENT`, `WAYBILL_SAGA`, `WAYBILL_PERSONAL`), for programs that know
no Django in a container; else `[tool.waybill]` in the `pyproject.toml` of the working directory or of the next folder
above that has one.

    [tool.waybill]
    service = "bookings"           # of a Django project: the consumer group, and who its records say they are from
    schemas = "schemas"            # the folder of the .avsc files: one folder a topic, one file a version of an event
    events = "bookings.events"     # the module of event classes that `python -m waybill contracts generate` writes
    document = "docs/events.md"    # optional: the page on the events that it writes too
    saga = "schemas/saga.json"     # optional: the saga that `outbox` and a console tell of, derived from the services
    personal = ["guest_name"]      # fields of events with personal data, which operators see masked; in the environment
                                   # separated by commas. Where nothing is told, all but ids are masked
"""

import os
import sys
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast

from waybill.contracts.event import Event

NAMES: Final = ("service", "events", "schemas", "document", "saga", "personal")
PYPROJECT: Final = "pyproject.toml"


class ApplicationUnknown(Exception):
    """Nothing tells what application this is, or what tells it is wrong; the message says where to put it right."""


@dataclass(frozen=True, slots=True)
class Application:
    """What the library knows of the application."""

    events: str | None
    """The module of the event classes, by its dotted name; None where a program needs none of them."""
    schemas: Path
    """The folder of the schemas."""
    document: Path | None = None
    """The page on all events, where one is wanted."""
    service: str | None = None
    """The name of a Django project's consumer group and of its records' source."""
    saga: Path | None = None
    """The file of the saga, where there is one (waybill/sagas/saga.py)."""
    personal: frozenset[str] | None = None
    """Names of the events' fields that hold personal data; None where nobody told."""

    @property
    def own_service(self) -> str:
        """Return the service's name. Raises ApplicationUnknown where nobody told it."""
        if not self.service:
            raise ApplicationUnknown("nothing names the service: " + _WHERE.format("service"))
        return self.service

    @property
    def events_file(self) -> Path:
        """Return the file of the event classes, whether it is written already or not. Raises ApplicationUnknown."""
        package, _, name = self._events.rpartition(".")
        try:
            found = find_spec(package) if package else None
        except ModuleNotFoundError:
            found = None
        if package and (found is None or not found.submodule_search_locations):
            raise ApplicationUnknown(f"events = {self.events!r}: there is no package {package!r} to write it into")
        folder = Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else Path()
        return folder / f"{name}.py"

    def events_module(self) -> ModuleType:
        """Import the module of the event classes. Raises ApplicationUnknown."""
        try:
            return import_module(self._events)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{self._events}.".startswith(f"{error.name}."):
                raise
            hint = "write it: python -m waybill contracts generate, or in a Django project manage.py contracts generate"
            raise ApplicationUnknown(f"events = {self.events!r}: there is no such module; {hint}") from None

    @property
    def _events(self) -> str:
        if self.events is None:
            raise ApplicationUnknown("nothing names the module of the event classes: " + _WHERE.format("events"))
        return self.events


_WHERE: Final = (
    "give {!r} in [tool.waybill] of pyproject.toml, or of a Django project WAYBILL = {{'SERVICE': …, 'EVENTS': …, "
    "'SCHEMAS': …}} in its settings, which `python manage.py contracts` and `python manage.py outbox` read"
)


@cache
def application() -> Application:
    """Return what this program was told. Raises ApplicationUnknown."""
    return _of_django() or _of_environment(os.environ) or _of_pyproject(Path.cwd())


@cache
def event_classes() -> Mapping[str, type[Event]]:
    """Return the current class of each event, by Avro full name. Raises ApplicationUnknown."""
    return application().events_module().EVENTS


@cache
def schema_files() -> Mapping[tuple[str, int], str]:
    """Return the file of each version of each event, from the folder of the schemas. Raises ApplicationUnknown."""
    return application().events_module().SOURCES


def forget() -> None:
    """Ask again with the next call; for tests that change the configuration."""
    for function in (application, event_classes, schema_files):
        function.cache_clear()


def _of_django() -> Application | None:
    conf = sys.modules.get("django.conf")  # a program that knows no Django does not come to know it here
    given = getattr(conf.settings, "WAYBILL", None) if conf and conf.settings.configured else None
    if given is None:
        return None
    return _application({name: given.get(name.upper()) for name in NAMES}, Path(), "Django's setting WAYBILL")


def _of_environment(environment: Mapping[str, str]) -> Application | None:
    given = {name: environment.get(f"WAYBILL_{name.upper()}") for name in NAMES}
    return _application(given, Path(), "the environment, as WAYBILL_…") if given["schemas"] else None


def _of_pyproject(start: Path) -> Application:
    for folder in (start, *start.parents):
        path = folder / PYPROJECT
        if not path.is_file():
            continue
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {}).get("waybill")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise ApplicationUnknown(f"{path}: {error}") from None
        if given is not None:
            return _application(given, folder, f"{path}, [tool.waybill]")
    raise ApplicationUnknown(f"nothing names the folder of the schemas (from {start} up): " + _WHERE.format("schemas"))


def _application(given: Mapping[str, Any], folder: Path, where: str) -> Application:
    if not given.get("schemas"):
        raise ApplicationUnknown(f"{where}: 'schemas' is missing, the folder of the .avsc files")
    schemas = folder / given["schemas"]
    if not schemas.is_dir():
        raise ApplicationUnknown(f"{where}: schemas = {str(given['schemas'])!r}: there is no folder {schemas}")
    page, saga = (folder / given[name] if given.get(name) else None for name in ("document", "saga"))
    personal = _names(given.get("personal"), where)
    return Application(given.get("events"), schemas, page, given.get("service"), saga, personal)


def _names(given: object, where: str) -> frozenset[str] | None:
    if given is None:
        return None
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, Collection) or not all(
        isinstance(name, str) for name in cast("Collection[object]", names)
    ):
        raise ApplicationUnknown(f"{where}: personal = {given!r}: write the names of fields, as in ['guest_name']")
    return frozenset(name.strip() for name in cast("Collection[str]", names) if name.strip())
