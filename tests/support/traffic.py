"""A service that goes on writing, whatever happens to the broker."""

import threading
from types import TracebackType
from typing import Final, Self

from tests.support.relays import Outbox, append, read_topic, versions

KEYS: Final = tuple("abcdefghij")
PACE_SECONDS: Final = 0.005


class Traffic:
    """Versions 1, 2, 3 … of each key, all keys in one transaction, for as long as its block lasts.

    It may be entered again, and then goes on with the next version.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.version = self.position = 0
        self._outbox = outbox
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        self._stop.clear()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join(10)

    def _write(self) -> None:
        with self._outbox.connect(autocommit=False) as connection:
            while not self._stop.wait(PACE_SECONDS):
                for key in KEYS:
                    position = append(connection, self._outbox.topic, key, self.version + 1)
                connection.commit()
                self.version, self.position = self.version + 1, position

    def wait_until_published(self) -> None:
        """Wait for the cursor at the end of what was written; no dead letter may have come of it on the way."""
        self._outbox.wait_for_cursor(self.position, deadline_seconds=30)
        assert self._outbox.dead_letters() == []

    def assert_all_in_order(self, *, since: int = 0) -> None:
        """Every version of every key after `since` is on the topic, and nothing before; first seen in order."""
        found = versions(read_topic(self._outbox.kafka, self._outbox.topic))
        assert found == {key: list(range(since + 1, self.version + 1)) for key in KEYS}
