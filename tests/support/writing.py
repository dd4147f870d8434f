"""Many writers beside a relay."""

import random
import threading

import psycopg

from tests.support.relays import Outbox, append

WRITERS, AGGREGATES, ENOUGH = 8, 50, 500


def write(outbox: Outbox, seed: int, stop: threading.Event, committed: set[tuple[str, int]]) -> None:
    """Take positions while an aggregate is locked, stall, use savepoints, commit or roll back."""
    rng = random.Random(seed)
    with outbox.connect(autocommit=False) as connection:
        while not stop.is_set():
            aggregate = rng.randint(1, AGGREGATES)
            (last,) = connection.execute(
                "UPDATE proof_aggregate SET version = version + 10 WHERE id = %s RETURNING version", (aggregate,)
            ).fetchone()
            written = []
            for step in range(rng.choice([1, 1, 1, 2, 3])):
                version = last + step
                if rng.random() < 0.1:
                    with connection.transaction() as savepoint:
                        append(connection, outbox.topic, str(aggregate), version)
                        raise psycopg.Rollback(savepoint)
                append(connection, outbox.topic, str(aggregate), version)
                written.append((str(aggregate), version))
            if rng.random() < 0.1:
                stop.wait(rng.random() * 0.2)
            if rng.random() < 0.15:
                connection.rollback()
            else:
                connection.commit()
                committed.update(written)
