"""docs/reference/library.md, from the docstrings and signatures of what is public in the library.

PUBLIC is the list of it: what is not there is private and may change. A test holds the services, the examples and what
`startservice` writes against it.
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import TextWrapper
from typing import Final

import catalogue.configured  # noqa: F401 # pyright: ignore[reportUnusedImport] - some modules need settings to be imported
from devstack.folder import CHECKOUT

PAGE: Final = CHECKOUT / "docs" / "reference" / "library.md"
PUBLIC: Final[Mapping[str, Mapping[str, Sequence[str]]]] = {
    "An outbox for models that are there": {
        "waybill.outbox": ("append", "Appended", "AppendRefused"),
        "waybill.outbox.outbox": ("history", "Recorded"),
        "waybill.outbox.mail": ("OutboxBackend",),
        "waybill.contracts.event": ("Event",),
    },
    "An inbox for handlers that are there": {"waybill.inbox": ("on", "Message"), "waybill.inbox.mail": ("send",)},
    "Deciders and sagas": {
        "waybill.deciders.service": ("Service", "on", "settles", "Command", "Copy", "Rows", "Settlement"),
        "waybill.deciders.outcomes": (
            *("Decision", "Ignored", "Refused", "NotFound", "NotValid", "Explained", "Code", "ErrorCode"),
            *("Unavailable", "NotAttempted", "OutcomeUnknown", "RetryLater", "NeedsAttention"),
        ),
        "waybill.deciders.unit_of_work": ("handle", "retried", "Caused", "Handled"),
        "waybill.models": ("AggregateRow", "CopyRow"),
        "waybill.database.rows": ("load", "save"),
        "waybill.database.sealing": ("SealedText",),
    },
    "Due tasks": {
        "waybill.deciders.service": ("after", "Tried"),
        "waybill.tasks.deadlines": ("waiting", "marked", "Waiting"),
        "waybill.runtime.outside": ("within", "bounded", "addresses", "connect"),
        "waybill.runtime.http_client": ("HttpClient", "AddressRefused"),
        "waybill.runtime.public_address": ("is_public",),
    },
    "REST": {
        "waybill.rest.http": ("Body", "cause", "ONE_LINE"),
        "waybill.rest.answers": ("answer", "nothing"),
        "waybill.rest.problem": ("Problem", "not_valid"),
        "waybill.rest.auth": ("caller_of",),
        "waybill.rest.idempotency": ("idempotent",),
        "waybill.rest.conditions": ("conditional", "unchanged", "when"),
        "waybill.rest.lists": (
            *("listed", "page", "created", "several", "Page"),
            *("Cursor", "Limit", "CreatedAfter", "CreatedBefore"),
        ),
        "waybill.rest.waiting": ("waits", "until_ended"),
        "waybill.rest.streams": ("streams", "stream"),
        "waybill.rest.bounds": ("AtMost",),
        "waybill.rest.collections": ("Collection", "serve", "reads", "bearer", "anybody", "Action"),
        "waybill.rest.collections.asked": ("EQUAL", "ORDERED"),
        "waybill.rest.openapi.operations": ("tagged", "requires", "raises", "sends", "leads_to", "deprecated"),
    },
    "Models on services": {
        "waybill.rest_backend.router": ("ServiceRouter",),
        "waybill.rest_backend.middleware.incoming": ("pass_on", "callers_token", "current_request"),
        "waybill.rest_backend.middleware.form_errors": ("FormErrors",),
        "waybill.rest_backend.middleware.form_versions": ("keep_form_versions", "hidden_field"),
        "waybill.rest_backend.middleware.own_writes": ("read_own_writes",),
        "waybill.rest_backend.middleware.unavailable": ("UnavailablePage",),
        "waybill.rest_backend.asynchronous": ("gather",),
        "waybill.rest_backend.adapter": ("CollectionAdapter",),
        "waybill.rest_backend.request": ("Read", "Count", "Insert", "Update", "Delete"),
        "waybill.rest_backend.errors": (
            "ServiceUnavailable",
            "NotAuthenticated",
            "RefusedWrite",
            "NotValid",
            "AlreadyExists",
            "StaleVersion",
            "TooManyRows",
        ),
    },
    "Settings and ids": {
        "waybill.runtime.settings": ("Deployment", "Environment", "read", "settings"),
        "waybill.runtime.django_settings": ("configure_django", "Web"),
        "waybill.observability.telemetry": ("new_id",),
        "waybill.tracing.spans": ("span",),
    },
    "Tests": {
        "waybill.testing": ("captured_events", "Scenario", "explore", "Request", "Found", "TooManyStates"),
    },
}
HEAD: Final = """\
# Reference: the library

What is public, with its docstrings: `make docs` writes this page. Everything else in `waybill` and `outbox_relay` is
private and may change in any release; what changes here is in the [changelog](../../CHANGELOG.md). Commands, settings,
metrics and errors have pages of their own: [the `outbox` command](../outbox-command.md), [settings](../settings.md),
[metrics](../metrics.md), [problems](../problems/index.md).
"""
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef | ast.Assign | ast.AnnAssign
LONGEST_LINE: Final = 100
WRAP: Final = TextWrapper(
    120, initial_indent="- ", subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
)
SECTION: Final = re.compile(r"^(Raises|Yields):\n((?: {4}.*\n?|\n)+)", re.MULTILINE)
ENTRY: Final = re.compile(r"^ {4}(\w[\w.]*): ", re.MULTILINE)


def pages() -> dict[Path, str]:
    """Return the page, as it should be."""
    parts = [HEAD]
    for section, modules in PUBLIC.items():
        parts.append(f"\n## {section}\n")
        for module, names in modules.items():
            parts += [f"\n### {module}\n", *(f"\n{entry(module, name)}" for name in names)]
    return {PAGE: "".join(parts)}


def entry(module: str, name: str) -> str:
    """Return the part of the page on one name.

    Raises:
        LookupError: The module has no such name, or it has no docstring.

    """
    source, found = definition(module, name)
    lines = source.splitlines()
    match found:
        case ast.Assign() | ast.AnnAssign():
            return f"#### {name}\n\n```python\n{ast.get_source_segment(source, found)}\n```\n"
        case ast.ClassDef():
            bases = ", ".join(map(ast.unparse, found.bases))
            title = f"class {name}({bases}): ..." if bases else f"class {name}: ..."
            members = [f"{WRAP.fill(one)}\n" for one in (*fields(found, lines), *methods(found))]
            about = "".join(["\n", *members]) if members else ""
            return f"#### {name}\n\n```python\n{title}\n```\n\n{text(found, name)}\n{about}"
        case _:
            return f"#### {name}\n\n```python\n{signature(found)}\n```\n\n{text(found, name)}\n"


def definition(module: str, name: str) -> tuple[str, Definition]:
    """Return the source of the module that defines the name, and where it does. Raises LookupError."""
    value = getattr(import_module(module), name)
    home = getattr(value, "__module__", module)
    for where in (home if home.startswith("waybill") else module, module):
        source, names = parsed(where)
        if name in names:
            return source, names[name]
    raise LookupError(f"{module}.{name} is not defined in {home} as a function, a class or a value")


@cache
def parsed(module: str) -> tuple[str, Mapping[str, Definition]]:
    """Return a module's source, and its definitions by name."""
    source = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
    names: dict[str, Definition] = {}
    for statement in ast.parse(source).body:
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names[statement.name] = statement
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                names[name] = statement
            case _:
                pass
    return source, names


def text(found: Function | ast.ClassDef, name: str) -> str:
    """Return the docstring as Markdown. Raises LookupError where there is none."""
    if not (docstring := ast.get_docstring(found)):
        raise LookupError(f"{name} is public and has no docstring")
    return SECTION.sub(lambda section: f"{section[1]}:\n\n{listed(section[2])}", docstring).strip()


def listed(section: str) -> str:
    """Return `Name: text` lines of a docstring's section as a list."""
    return re.sub(r"^ {4,}", "  ", ENTRY.sub(r"- `\1`: ", section), flags=re.MULTILINE).rstrip() + "\n"


def signature(found: Function) -> str:
    """Return a function's name, parameters and what it returns."""
    keyword = "async def" if isinstance(found, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(found.returns)}: ..." if found.returns else ": ..."
    parameters = list(parameters_of(found.args))
    line = f"{keyword} {found.name}({', '.join(parameters)}){returns}"
    if len(line) <= LONGEST_LINE:
        return line
    return "\n".join((f"{keyword} {found.name}(", *(f"    {one}," for one in parameters), f"){returns}"))


def parameters_of(arguments: ast.arguments) -> Iterator[str]:
    """Yield each parameter with its annotation and default."""
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    for argument, default in zip(positional, [*defaults, *arguments.defaults], strict=True):
        yield _parameter(argument, default)
    if arguments.vararg:
        yield f"*{ast.unparse(arguments.vararg)}"
    elif arguments.kwonlyargs:
        yield "*"
    for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield _parameter(argument, default)
    if arguments.kwarg:
        yield f"**{ast.unparse(arguments.kwarg)}"


def fields(found: ast.ClassDef, lines: Sequence[str]) -> Iterator[str]:
    """Yield the public fields, each with its docstring or the comment on its line."""
    for field, after in zip(found.body, [*found.body[1:], None], strict=True):
        if not isinstance(field, ast.AnnAssign) or ast.unparse(field.target).startswith("_"):
            continue
        match after:
            case ast.Expr(value=ast.Constant(value=str() as said)):
                pass
            case _:
                said = lines[(field.end_lineno or field.lineno) - 1].partition("  # ")[2]
        yield f"`{ast.unparse(field.target)}: {ast.unparse(field.annotation)}`{said and f': {said}'}"


def methods(found: ast.ClassDef) -> Iterator[str]:
    """Yield the public methods and properties that have a docstring, with its first line."""
    for method in found.body:
        if isinstance(method, Function) and not method.name.startswith("_"):
            is_property = any("property" in ast.unparse(one) for one in method.decorator_list)
            shown = method.name if is_property else f"{method.name}({', '.join(list(parameters_of(method.args))[1:])})"
            said = (ast.get_docstring(method) or "").partition("\n\n")[0].replace("\n", " ")
            yield f"`{shown}`{said and f': {said}'}"


def _parameter(argument: ast.arg, default: ast.expr | None) -> str:
    if default is None:
        return ast.unparse(argument)
    equals = " = " if argument.annotation else "="
    return f"{ast.unparse(argument)}{equals}{ast.unparse(default)}"
