"""django-outbox-pattern's `publish` command on its own table, with Kafka where it has STOMP."""

import sys

from benchmarks.peers.process import Peer
from benchmarks.stage import Stage, execute
from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until

# As its Published.save writes them; the body is JSON of as many bytes as the other peers' payload has.
FILL = """
INSERT INTO published (id, version, destination, body, added, expires_at, retry, status, headers)
SELECT gen_random_uuid(), NULL, %s, jsonb_build_object('order_id', gen_random_uuid(), 'lines', repeat(md5(n::text), 6)),
       now(), now() + interval '1 day', 0, 1, jsonb_build_object(
           'key', gen_random_uuid(), 'dop-msg-id', gen_random_uuid(), 'dop-msg-destination', %s::text,
           'dop-msg-type', 'Published', 'dop-msg-sent-time', now(), 'dop-correlation-id', gen_random_uuid(),
           'traceparent', '00-' || md5(n::text) || '-1dea467190ba65d0-01', 'causation_id', gen_random_uuid())
FROM generate_series(1, %s) AS n
"""


class Published(Peer):
    """The command, at work on the `published` table of one database."""

    def __init__(self, stage: Stage, database: ServiceDatabase) -> None:
        self.database = database
        environment = {
            "DJANGO_SETTINGS_MODULE": "benchmarks.peers.published_settings",
            "OUTBOX_URL": database.service_url,
            "KAFKA_BOOTSTRAP": stage.kafka,
        }
        command = [sys.executable, "-m", "django", "publish"]
        super().__init__("django_outbox_pattern", command, environment, stage.folder / "published.log")

    def fill(self, topic: str, rows: int) -> None:
        """Put so many messages into an empty table."""
        execute(self.database.superuser_url, "TRUNCATE published")
        execute(self.database.superuser_url, FILL, topic, topic, rows)
        execute(self.database.superuser_url, "ANALYZE published")

    def settle(self) -> None:
        """Wait until the transaction in which it marks what it has sent is over."""
        query = "SELECT count(*) FROM published WHERE status = 1"
        wait_until(
            lambda: execute(self.database.superuser_url, query) == [(0,)], deadline_seconds=60, what="all marked"
        )
