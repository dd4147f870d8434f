"""Threads that do not keep a process from ending."""

import subprocess
import sys
import threading

import pytest

from waybill.runtime.threads import Threads

HANGING = """
import threading
from waybill.runtime.threads import Threads
began = threading.Event()
with Threads(2, "attempt") as threads:
    threads.submit(lambda: (began.set(), threading.Event().wait()))
    began.wait()
print("ended")
"""


def test_a_call_that_hangs_does_not_keep_the_process():
    done = subprocess.run([sys.executable, "-c", HANGING], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_a_thread_is_used_again_and_never_more_than_allowed_are_begun():
    with Threads(3, "attempt") as threads:
        for _ in range(20):
            assert threads.submit(threading.get_ident).result(10)
        assert threads._begun <= 2  # the first may not be back before the second call comes
        release = threading.Event()
        waiting = [threads.submit(release.wait, 10) for _ in range(8)]
        assert threads._begun == 3
        release.set()
        assert all(one.result(10) for one in waiting)


def test_what_a_call_raises_is_raised_where_it_is_waited_for():
    with Threads(1, "attempt") as threads, pytest.raises(ZeroDivisionError):
        threads.submit(lambda: 1 / 0).result(10)
