"""The four services have the same modules: who has read one can read all."""

import ast
import hashlib
import subprocess
from collections import defaultdict

import pytest

from devstack import services
from devstack.folder import CHECKOUT
from tests.support.services import SERVICES, files_of

MODULES = {"__init__", "api", "domain", "models", "reactions", "service", "settings"}
WITH_WORKER = {one.package for one in services.SERVICES.values() if "worker" in one.programs}
# What a service has beside them, and why.
OWN_MODULES = {
    "payment_service": {"provider"},  # the only outside call: the payment providers, one module each
    # The only other ones: the mail server, and whom it can reach; customers' receivers, and their registration.
    "notification_service": {"mailer", "address", "receiver", "webhooks"},
}
VAGUE = ("util", "utils", "helper", "helpers", "common", "misc", "manager", "managers", "base", "impl")
ENGINES = tuple(CHECKOUT / "waybill" / path for path in ("database/engine", "rest_backend", "rest_backend/postgresql"))
NAMED_BY_DJANGO = {engine / "base.py" for engine in ENGINES}  # it looks for an engine's wrapper there
SAYS = ("Owns:", "Topics in:", "Topics out:")


def tree(service: str, module: str) -> ast.Module:
    """The module; of a package what `__init__` says, then all its modules, with its own last as they are its parts."""
    trees = [ast.parse(file.read_text()) for file in files_of(service, module)]
    own = trees.pop().body
    parts = [node for part in trees for node in part.body]
    return ast.Module([own[0], *parts, *own[1:]], [])


def public_names(service: str, module: str) -> set[str]:
    """Functions, classes and assigned names of a module, without a leading underscore."""
    found: set[str] = set()
    for node in tree(service, module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {name for name in found if not name.startswith("_")}


@pytest.mark.parametrize("service", SERVICES)
def test_the_modules_are_the_same(service):
    found = {path.stem for path in (CHECKOUT / service).glob("*.py")}
    found |= {path.parent.name for path in (CHECKOUT / service).glob("*/__init__.py")} - {"migrations"}
    worker = {"worker"} if service in WITH_WORKER else set()
    assert found == MODULES | worker | OWN_MODULES.get(service, set())
    assert (CHECKOUT / service / "migrations" / "0001_initial.py").is_file()


@pytest.mark.parametrize("service", SERVICES)
def test_a_module_offers_the_same_names_in_every_service(service):
    assert {"decide", "evolve", "Command"} <= public_names(service, "domain")
    assert {"to_state", "to_rows"} <= public_names(service, "models")
    assert {"router"} <= public_names(service, "api")
    assert public_names(service, "service") == {"service"}
    assert {name for name in public_names(service, "settings") if name.endswith("Settings")}


@pytest.mark.parametrize("service", SERVICES)
def test_a_domain_reads_in_the_same_sequence(service):
    """The life in the docstring, then statuses, state, commands, decide, evolve."""
    body = tree(service, "domain").body
    assert len((ast.get_docstring(tree(service, "domain")) or "").splitlines()) >= 5
    at = {node.name: n for n, node in enumerate(body) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    at |= {node.targets[0].id: n for n, node in enumerate(body) if isinstance(node, ast.Assign)}
    statuses = [n for name, n in at.items() if name.endswith("Status")]
    assert max(statuses) < at["Command"] < at["decide"] < at["evolve"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_says_what_it_owns_and_which_topics_go_in_and_out(service):
    said = ast.get_docstring(tree(service, "__init__")) or ""
    assert [word for word in SAYS if word not in said] == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_topics_it_says_are_the_topics_it_has(service):
    from importlib import import_module

    from schemas.events import EVENTS
    from waybill.contracts.topics import topics

    plan = import_module(f"{service}.service").service
    lines = (ast.get_docstring(tree(service, "__init__")) or "").splitlines()
    said = {line.partition(":")[0]: line.partition(": ")[2].rstrip(".") for line in lines}
    assert said["Topics in"] == (", ".join(plan.topics) or "none")
    others = {topic.name for topic in topics() if topic.written_by}
    own = {kind.topic for kind in EVENTS.values() if kind.aggregate_type in plan.tables and kind.topic} - others
    assert said["Topics out"].split(", ") == sorted(own)


@pytest.mark.parametrize("service", SERVICES)
def test_a_reaction_is_named_as_its_event_and_says_its_line_of_the_saga(service):
    for node in tree(service, "reactions").body:
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            (mark,) = node.decorator_list
            event = mark.args[0].id  # type: ignore[attr-defined]
            assert node.name == "".join(f"_{c.lower()}" if c.isupper() else c for c in event).lstrip("_")
            assert ast.get_docstring(node)


def test_no_two_files_have_the_same_bytes():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    same: defaultdict[str, list[str]] = defaultdict(list)
    for name in tracked.stdout.split():
        path = CHECKOUT / name
        if name.startswith("examples/"):
            continue  # each is a project of its own, which begins as `startproject` has it
        if path.is_file() and (content := path.read_bytes()).strip():
            same[hashlib.sha256(content).hexdigest()].append(name)
    assert [names for names in same.values() if len(names) > 1] == []


def test_no_module_or_class_has_a_name_that_says_nothing():
    tracked = subprocess.run(["git", "ls-files", "*.py"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    paths = [CHECKOUT / name for name in tracked.stdout.split() if (CHECKOUT / name).is_file()]
    assert [str(path) for path in paths if path.stem in VAGUE and path not in NAMED_BY_DJANGO] == []
    classes = [
        f"{path.relative_to(CHECKOUT)}: {node.name}"
        for path in paths
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    vague = ("Abstract", "Base"), ("Manager", "Helper", "Impl", "Base")
    assert [one for one in classes if one.split(": ")[1].startswith(vague[0]) or one.endswith(vague[1])] == []
