"""The connection: an address and a client. Nothing is open that a request would have to close."""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from types import SimpleNamespace
from typing import Any, ClassVar, Final, Self

import django.db.utils
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.module_loading import import_string

from waybill.rest_backend.adapter import CollectionAdapter
from waybill.rest_backend.creation import DatabaseClient, DatabaseCreation
from waybill.rest_backend.features import DatabaseFeatures
from waybill.rest_backend.middleware import form_versions, own_writes
from waybill.rest_backend.operations import DatabaseOperations
from waybill.rest_backend.request import Resource
from waybill.rest_backend.router import has
from waybill.rest_backend.schema import DatabaseIntrospection, DatabaseSchemaEditor
from waybill.rest_backend.service import Answer, Call, Service

log = logging.getLogger("django.db.backends")  # where Django writes SQL
MOST_VERSIONS: Final = 10_000
OPTIONS: Final = frozenset(
    {
        "models",
        "resources",
        "adapter",
        "page_rows",
        "max_rows",
        "max_ids",
        "paths",
        "timeout",
        "retries",
        "token",
        "connections",
        "wait",
    }
)
TYPES: Final = (
    "AutoField", "BigAutoField", "BigIntegerField", "BinaryField", "BooleanField", "CharField", "DateField",
    "DateTimeField", "DecimalField", "DurationField", "FileField", "FilePathField", "FloatField",
    "GenericIPAddressField", "IPAddressField", "IntegerField", "JSONField", "OneToOneField",
    "PositiveBigIntegerField", "PositiveIntegerField", "PositiveSmallIntegerField", "SlugField", "SmallAutoField",
    "SmallIntegerField", "TextField", "TimeField", "UUIDField",
)  # fmt: skip


class HttpCursor:
    """What `connection.cursor()` returns: calls go through it, so that whatever guards or counts cursors sees them."""

    def __init__(self, connection: "DatabaseWrapper") -> None:
        self.db = connection

    def call(self, call: Call) -> Answer:
        """Make a call, within the connection's execute wrappers, and write it into its log of queries."""
        execute: Any = self._execute
        for wrapper in reversed(self.db.execute_wrappers):
            execute = partial(wrapper, execute)
        return execute(str(call), None, False, {"connection": self.db, "cursor": self, "call": call})  # noqa: FBT003 - Django's signature

    def _execute(self, sql: str, _params: Any, _many: bool, context: Mapping[str, Any]) -> Answer:
        began = perf_counter()
        call = own_writes.waiting(self.db.alias, context["call"], self.db.wait_seconds)
        try:
            answer = self.db.service.call(call)
            own_writes.note(self.db.alias, call, answer)
            return answer
        finally:
            seconds = perf_counter() - began
            if self.db.queries_logged:
                self.db.queries_log.append({"sql": sql, "time": f"{seconds:.3f}"})
                log.debug("(%.3f) %s", seconds, sql, extra={"duration": seconds, "sql": sql, "alias": self.db.alias})

    def execute(self, sql: Any, params: Any = None) -> None:
        """Raise: a service takes no SQL."""
        raise NotSupportedError(f"raw SQL has no meaning for a service: {str(sql)[:100]}")

    executemany = callproc = execute

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DatabaseWrapper(BaseDatabaseWrapper):
    """One service as a database of Django's; see the package."""

    vendor = "waybill_rest"
    display_name = "REST"
    data_types = dict.fromkeys(TYPES, "json")
    operators: ClassVar[dict[str, str]] = {}
    Database = SimpleNamespace(
        Binary=bytes,
        **{name: getattr(django.db.utils, name) for name in django.db.utils.__dict__ if name.endswith("Error")},
    )
    client_class = DatabaseClient
    creation_class = DatabaseCreation
    features_class = DatabaseFeatures
    introspection_class = DatabaseIntrospection
    ops_class = DatabaseOperations
    SchemaEditorClass = DatabaseSchemaEditor

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        options: dict[str, Any] = settings_dict.get("OPTIONS") or {}
        if unknown := options.keys() - OPTIONS:
            raise ImproperlyConfigured(f"DATABASES[{alias!r}]: no such OPTIONS: {', '.join(sorted(unknown))}")
        self.max_rows = int(options.get("max_rows", 5000))
        self.max_ids = int(options.get("max_ids", 200))
        self.wait_seconds = int(options.get("wait", 2))
        self.paths = bool(options.get("paths", False))
        named: dict[str, str] = options.get("resources", {})
        self._resources = {label.lower(): name for label, name in named.items()}
        self.adapter: CollectionAdapter = self.make_adapter(options)
        self._versions: OrderedDict[tuple[str, str], str] = OrderedDict()

    def make_adapter(self, options: dict[str, Any]) -> CollectionAdapter:
        """Return what makes calls of requests. Raises ImproperlyConfigured."""
        try:
            self.service = Service(str(self.settings_dict["NAME"]), options)
        except ValueError as error:
            raise ImproperlyConfigured(f"DATABASES[{self.alias!r}]: {error}") from None
        kind = options.get("adapter", CollectionAdapter)
        adapter = import_string(kind) if isinstance(kind, str) else kind
        return adapter(self._send, self.service.link, int(options.get("page_rows", 500)))

    def resource(self, meta: Any) -> Resource:
        """Return the collection of a model: OPTIONS["resources"], else its table's name."""
        name = self._resources.get(meta.label_lower) or meta.db_table
        return Resource(name, meta.pk.column)

    def home_of(self, model: Any) -> str:
        """Return where a related model lives: as routers say, else here if this service has it."""
        for one in router.routers:
            if (choose := getattr(one, "db_for_read", None)) and (found := choose(model)):
                return found
        return self.alias if self.has(model) else DEFAULT_DB_ALIAS

    def has(self, model: Any) -> bool:
        """Tell whether a model is one of this service's: of those that OPTIONS["models"] names, or of all."""
        models, meta = self.settings_dict["OPTIONS"].get("models"), model._meta  # noqa: SLF001 - documented
        return not models or has(models, meta.app_label, meta.model_name)

    def seen(self, resource: Resource, row: Mapping[str, Any]) -> None:
        """Remember the version of a row that was read, for If-Match."""
        if (version := row.get("_version")) is not None:
            self._versions[resource.name, str(row[resource.key])] = str(version)
            if len(self._versions) > MOST_VERSIONS:
                self._versions.popitem(last=False)

    def version_of(self, resource: Resource, key: Any) -> str | None:
        """Return the version of a row that its form was shown with, else the one that was read last here."""
        found = form_versions.sent(self.alias, resource, key)
        return self._versions.get((resource.name, str(key))) if found is None else found

    def written(self, resource: Resource, row: Mapping[str, Any]) -> None:
        """Remember the version of a row that was written, for whatever is written next."""
        self.seen(resource, row)
        key = row[resource.key]
        form_versions.settle(self.alias, resource, key, self._versions.get((resource.name, str(key))))

    def forget(self, resource: Resource, key: Any) -> None:
        """Let a row that is gone, or whose version is out of date, have no version."""
        self._versions.pop((resource.name, str(key)), None)
        form_versions.settle(self.alias, resource, key, None)

    def _send(self, call: Call) -> Answer:
        with self.cursor() as cursor:
            return cursor.call(call)

    def get_connection_params(self) -> dict[str, Any]:
        """Return none: the service has what it needs."""
        return {}

    def get_new_connection(self, conn_params: Any) -> Service:
        """Return the service; sockets are opened by calls, and kept for all threads."""
        return self.service

    def init_connection_state(self) -> None:
        """Do nothing: there is no version of a server to ask for."""

    def create_cursor(self, name: str | None = None) -> HttpCursor:
        """Return a cursor that makes calls."""
        return HttpCursor(self)

    def make_cursor(self, cursor: Any) -> Any:
        """Return it as it is: it wraps and logs by itself."""
        return cursor

    def make_debug_cursor(self, cursor: Any) -> Any:
        """Return it as it is, likewise."""
        return cursor

    def is_usable(self) -> bool:
        """Tell that a call may be tried."""
        return True

    def _close(self) -> None:
        """Forget what this request has read; sockets stay open for the next one."""
        self._versions.clear()

    def _commit(self) -> None:
        """Do nothing: each call was its own transaction."""

    def _rollback(self) -> None:
        """Do nothing: what was called was done."""

    def _set_autocommit(self, autocommit: bool) -> None:
        """Do nothing: there is no other way."""

    def _start_transaction_under_autocommit(self) -> None:
        """Do nothing, likewise."""

    @contextmanager
    def constraint_checks_disabled(self) -> Any:
        """Change nothing: services check by themselves."""
        yield

    def check_constraints(self, table_names: Any = None) -> None:
        """Do nothing, likewise."""

    def get_database_version(self) -> tuple[int, ...]:
        """Return the contract's version."""
        return (1,)
