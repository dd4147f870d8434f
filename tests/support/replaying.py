"""Jobs of `outbox replay`, and what they sent."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.outbox_command import outbox, settings
from tests.support.relays import CHECKOUT, Outbox, Record, append_many, read_topic

WHY = ["--execute", "--reason", "the broker lost its tail"]


EVERYTHING = ["--positions", "1.."]


def here(own: Outbox, **more: str) -> dict[str, str]:
    return settings(own.kafka, order=own.database.service_url, **more)


def jobs(own: Outbox) -> list[dict]:
    return outbox("jobs", "--json", **here(own)).lines()


def passed_over(own: Outbox, count: int) -> None:
    """Write so many events, an aggregate each, as if the relay had published them."""
    with own.connect() as writer:
        append_many(writer, own.topic, count)
    own.execute("UPDATE waybill_outbox_cursor SET position = %s", count)


def copies(own: Outbox) -> list[Record]:
    return [record for record in read_topic(own.kafka, own.topic) if "ce_replayid" in record.headers]


@contextmanager
def running(own: Outbox, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a replay beside the test, and see to it that none is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "outbox_relay", "replay", "--json", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, **here(own)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def sent(own: Outbox) -> int:
    return sum(job for (job,) in own.execute("SELECT sent FROM waybill_replay_job"))
