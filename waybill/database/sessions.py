"""The database sessions of a process's threads: where one meets a server that takes no writes, all end.

After a failover each thread may have a session on the demoted server, where it would read what is no longer true. A
session belongs to its thread, so that each closes its own, before its next work.
"""

import threading

from django.db import connection

_lock = threading.Lock()
_generation = 0


class _Own(threading.local):
    generation = 0


_own = _Own()


def end_all() -> None:
    """End the calling thread's session now, and every other thread's before its next work."""
    global _generation  # noqa: PLW0603 - the process has one
    with _lock:
        _generation += 1
    renew()


def renew() -> None:
    """End the calling thread's session where it is older than the last `end_all`."""
    if _own.generation != _generation:
        _own.generation = _generation
        connection.close()
