"""Threads that do not keep a process.

concurrent.futures joins its threads when the interpreter ends, so that one call that hangs holds a program that was
told to stop. These are daemon threads: who stops has waited as long as it wants to, and leaves them behind.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, Self, TypeVar

Result = TypeVar("Result")
Given = ParamSpec("Given")


class Threads:
    """Up to `most` threads, begun as they are needed and kept; leaving the block lets go of them, and joins none."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._begun = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in range(self._begun):
            self._work.put(None)

    def submit(self, function: Callable[Given, Result], *given: Given.args, **named: Given.kwargs) -> Future[Result]:
        """Call the function in a thread as soon as one is free; to be called by one thread only."""
        future: Future[Result] = Future()

        def run() -> None:
            try:
                future.set_result(function(*given, **named))
            except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
                future.set_exception(error)

        if not self._idle.acquire(blocking=False) and self._begun < self._most:
            self._begun += 1
            threading.Thread(target=self._serve, name=f"{self._name}-{self._begun}", daemon=True).start()
        self._work.put(run)
        return future

    def _serve(self) -> None:
        while (run := self._work.get()) is not None:
            run()
            self._idle.release()
