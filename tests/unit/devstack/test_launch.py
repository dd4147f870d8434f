"""A launch that is told to stop ends, however far it is."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.errors import Interrupted
from devstack.folder import Folder
from devstack.parts import Step
from devstack.processes.launch import Launch


class InterruptedAfterTheFirst(list[Step]):
    """A plan whose second task is never come to: a signal comes before."""

    def __iter__(self) -> Iterator[Step]:
        yield self[0]
        raise Interrupted(signal.SIGINT)


@pytest.mark.timeout(20)
def test_a_signal_before_every_task_has_a_thread_ends_those_that_have_one(tmp_path: Path):
    done: list[str] = []
    plan = InterruptedAfterTheFirst([Step(name="one", needs=frozenset()), Step(name="two", needs=frozenset({"one"}))])
    launch = Launch(Folder(tmp_path), plan, {name: lambda: done.append("done") for name in ("one", "two")}, print)
    with pytest.raises(Interrupted):
        launch.run()
    assert done == []
