"""`python -m tests.support.reaching PACKAGE`: the test files that reach a package by imports, for a workflow to run.

Tests that use a service over HTTP alone import nothing of it: they see all services together, and run with all tests.
"""

import sys

import grimp

from devstack.folder import CHECKOUT
from devstack.services import EVERY

PACKAGES = ("tests", "schemas", "waybill", "outbox_relay", *(service.package for service in EVERY.values()))


def reaching(package: str) -> list[str]:
    """Return the files, in alphabetical order."""
    graph = grimp.build_graph(*PACKAGES)
    modules = {package, *graph.find_descendants(package)}
    reached = {test for module in modules for test in graph.find_downstream_modules(module)}
    files = [
        module for module in reached if module.startswith("tests.") and module.rpartition(".")[2].startswith("test_")
    ]
    return sorted(f"{module.replace('.', '/')}.py" for module in files)


def main() -> None:
    """Print them in one line."""
    files = reaching(sys.argv[1])
    missing = [file for file in files if not (CHECKOUT / file).is_file()]
    assert not missing, missing
    sys.stdout.write(f"{' '.join(files)}\n")


if __name__ == "__main__":
    main()
