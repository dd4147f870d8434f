"""A relay's threads share one arena of the C library's allocator, where that has arenas."""

import ctypes
import subprocess
import sys

import pytest

THREADS = """
import ctypes, sys, threading
from outbox_relay.relay.program.allocator import keep_memory
if sys.argv[1] == "kept":
    keep_memory()
ready = threading.Barrier(4)
def take():
    ready.wait()
    taken = [bytes(5_000) for _ in range(200)]
    ready.wait()
threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
ctypes.CDLL(None).malloc_stats()
"""


def arenas(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", THREADS, how], capture_output=True, text=True, check=True, timeout=60)
    return done.stderr.count("Arena ")


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="no glibc: nothing to set")
def test_threads_share_one_arena_and_do_not_without_the_setting():
    assert (arenas("kept"), arenas("not") > 1) == (1, True)
