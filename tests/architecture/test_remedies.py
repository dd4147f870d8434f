"""What a task tells an operator to do exists, and leads somewhere else than to the list that it is read in."""

import os
import re
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT
from outbox_relay.cli.command import verbs
from tests.support.services import SERVICES

NOBODY = "postgresql://nobody@127.0.0.1:1/nothing"
ASK = (
    "from {0}.service import service; "
    "print(*(f'{{t.name}}|{{t.remediation}}' for t in service.tasks.values()), sep='\\n')"
)


def remedies(service: str) -> list[str]:
    """What each task of a service tells an operator, after the task's name."""
    prepare = f"from waybill.runtime.django_settings import configure_django as do; do(({service!r},), {NOBODY!r});"
    done = subprocess.run(
        [sys.executable, "-c", f"{prepare} {ASK.format(service)}"],
        cwd=CHECKOUT,
        env={**os.environ, "WAYBILL_DATABASE_URL": NOBODY},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_each_command_that_a_task_names_exists(service: str):
    named = [verb for line in remedies(service) for verb in re.findall(r"`outbox (\S+?)[ `]", line)]
    assert set(named) <= set(verbs())
    assert named or service not in {"order_service", "payment_service"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_no_task_sends_an_operator_back_to_its_own_entry(service: str):
    own = service.removesuffix("_service")
    for line in filter(None, remedies(service)):
        for command in re.findall(r"outbox attention[^`]*", line):
            named = re.search(r"--service (\w+)", command)
            assert named is not None, line
            assert named[1] != own, line
