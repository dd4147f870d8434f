"""What is public in the library is listed, described, and all that an application needs."""

import ast
import re
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from catalogue import reference
from devstack.folder import CHECKOUT
from tests.support.services import SERVICES

PUBLIC = {
    (module, name) for modules in reference.PUBLIC.values() for module, names in modules.items() for name in names
}
APPLICATIONS = [
    # Not the console: it is a program as the `outbox` command is, and stands on what that stands on.
    *sorted(path for service in SERVICES for path in (CHECKOUT / service).glob("**/*.py")),
    *sorted(path for path in CHECKOUT.glob("examples/**/*.py") if ".venv" not in path.parts),
    *sorted(CHECKOUT.glob("waybill/startservice/template/**/*.py.txt")),
]
FIELD = re.compile(r"\$\w+")


def is_module(name: str) -> bool:
    """Tell a module from what is in one."""
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # its parent is no package
        return False


def used(source: str) -> Iterator[tuple[str, str]]:
    """Yield module and name of all that the source takes from the library."""
    tree = ast.parse(source)
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "waybill":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if is_module(whole):
                    modules[alias.asname or alias.name] = whole
                else:
                    yield str(node.module), alias.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield modules[node.value.id], node.attr


@pytest.mark.parametrize("path", APPLICATIONS, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_an_application_takes_from_the_library_what_is_public(path):
    source = path.read_text()
    if path.suffix == ".txt":
        source = FIELD.sub("x", source)
    assert set(used(source)) - PUBLIC == set()


def test_what_is_public_is_in_the_reference_with_its_docstring():
    page = reference.pages()[reference.PAGE]
    assert page == reference.PAGE.read_text()
    for _, name in PUBLIC:
        assert f"\n#### {name}\n" in page


def test_a_public_name_without_a_docstring_is_refused():
    with pytest.raises(LookupError, match="View"):
        reference.text(ast.parse("def View(): pass").body[0], "View")
