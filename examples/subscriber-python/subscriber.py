"""A subscriber of Waybill's topics that needs nothing of Waybill's code. Copy it, and put your effect where it says so.

Each record goes through one transaction of a store of our own: is it new, the effect, "this id is done". Offsets follow
the transaction, so a crash in between brings the record again, and the store knows its id. The other way round, a crash
would lose the effect for good.
"""

import json
import os
import signal
import sqlite3
import sys
from contextlib import closing
from threading import Event
from types import FrameType

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError

ALL_TOPICS = "order.events.v1,inventory.events.v1,inventory.products.v1,payment.events.v1,notification.events.v1"
REQUIRED = ("KAFKA_BOOTSTRAP", "GROUP", "REGISTRY_URL")
RETRY_SECONDS = 1.0
FRAME_BYTES = 5
UNKNOWN_SCHEMA = 40403  # the Confluent API's code; any other 404 is a wrong URL
EFFECT = "id, topic, key, version, type, replay, event"
ASIDE = "topic, partition, offset, key, aside"

TABLES = """
CREATE TABLE IF NOT EXISTS handled (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE,
    topic TEXT, key TEXT, version INTEGER, type TEXT, replay TEXT, event TEXT
);
CREATE TABLE IF NOT EXISTS aside (
    topic TEXT, partition INTEGER, offset INTEGER, key TEXT, aside TEXT, value BLOB,
    PRIMARY KEY (topic, partition, offset)
);
CREATE INDEX IF NOT EXISTS aside_by_key ON aside (topic, key);
"""


class BadRecordError(Exception):
    """A record that can never be read: set it aside. The environment is fine."""


class AwayError(Exception):
    """A registry that does not answer: wait. The record is fine."""


class Store:
    """What survives a restart: the effects, the ids of what was handled, and what was set aside."""

    def __init__(self, path: str) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        # FULL: once an offset is committed the effect must not be lost, not even by a power cut.
        self.db.executescript(f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {TABLES}")

    def take(self, record: Message, headers: dict[str, str], event: dict | None, bad: str | None) -> str:
        """Handle a record once, or set it aside for what is bad with it; one transaction. Says what was done."""
        done_as = headers.get("ce_id", "")
        if again := headers.get("ce_replayreprocess") == "true":  # somebody asked for it to be handled again, once
            done_as += f":{headers.get('ce_replayid')}"
        topic, key = record.topic(), text(record.key())
        self.db.execute("BEGIN IMMEDIATE")
        with self.db:
            if not bad and self._has("handled WHERE id = ?", done_as):
                return "repeat"
            if not bad and self._has("aside WHERE topic = ? AND key = ?", topic, key):
                bad = "behind one of its key that was set aside"  # or the key's order would be lost
            if bad:
                aside = [topic, record.partition(), record.offset(), key, bad, record.value()]
                self.db.execute("INSERT OR IGNORE INTO aside VALUES (?, ?, ?, ?, ?, ?)", aside)
                return f"aside ({bad})"
            # YOUR EFFECT, in this transaction. Ours is to keep the event. Do not mail anybody for a replay:
            # `ce_replayid` is its id, and `ce_replayeffects` says whether the operator wants that all the same.
            replay, version = headers.get("ce_replayid"), int(headers["ce_sequence"])
            effect = [done_as, topic, key, version, headers["ce_type"], replay, json.dumps(event, default=str)]
            self.db.execute(f"INSERT INTO handled ({EFFECT}) VALUES (?, ?, ?, ?, ?, ?, ?)", effect)
            return "handled again" if again else "replay" if replay else "handled"

    def _has(self, what: str, *values: str | None) -> bool:
        return self.db.execute(f"SELECT 1 FROM {what} LIMIT 1", values).fetchone() is not None

    def show(self) -> None:
        """Print what was handled, in that order, then what was set aside."""
        for *values, event in self.db.execute(f"SELECT {EFFECT} FROM handled ORDER BY number"):
            print(json.dumps(dict(zip(EFFECT.split(", "), values)) | {"event": json.loads(event)}))
        for values in self.db.execute(f"SELECT {ASIDE} FROM aside"):
            print(json.dumps(dict(zip(ASIDE.split(", "), values))))

    def release(self) -> None:
        """Forget what was set aside: ask the owner to replay it to your group, and it is handled then."""
        self.db.execute("DELETE FROM aside")


def registry() -> SchemaRegistryClient:
    """Connect to the registry, as the environment says."""
    settings: dict = {"url": os.environ["REGISTRY_URL"], "timeout": 10, "max.retries": 0}
    if "REGISTRY_USER" in os.environ:
        settings["basic.auth.user.info"] = f"{os.environ['REGISTRY_USER']}:{os.environ['REGISTRY_PASSWORD']}"
    if "REGISTRY_TOKEN" in os.environ:
        settings |= {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.token": os.environ["REGISTRY_TOKEN"],
            "bearer.auth.logical.cluster": "",  # Confluent Cloud's
        }
    files = {"CA": "ssl.ca.location", "CERTIFICATE": "ssl.certificate.location", "KEY": "ssl.key.location"}
    for name, option in files.items():
        if file := os.environ.get(f"REGISTRY_{name}_FILE"):
            settings[option] = file
    return SchemaRegistryClient(settings)


def say(error: KafkaError) -> None:
    """Say what the broker's client has found, but not each connection that it tried."""
    if error.name() != "_TRANSPORT":
        print("waits", error.str(), flush=True)


def consumer() -> Consumer:
    """Join the group, as the environment says."""
    names = {
        "KAFKA_SECURITY_PROTOCOL": "security.protocol",
        "KAFKA_SASL_MECHANISM": "sasl.mechanism",
        "KAFKA_SASL_USERNAME": "sasl.username",
        "KAFKA_SASL_PASSWORD": "sasl.password",
        "KAFKA_CA_FILE": "ssl.ca.location",
        "KAFKA_CERTIFICATE_FILE": "ssl.certificate.location",
        "KAFKA_KEY_FILE": "ssl.key.location",
        "INSTANCE": "group.instance.id",  # a name of its own each: back at once after a crash
    }
    joined = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP"],
            "group.id": os.environ["GROUP"],
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            # Every 5 s, and when partitions are given up, what `store_offsets` was told; never what is only fetched.
            "enable.auto.commit": True,
            "enable.auto.offset.store": False,
            "reconnect.backoff.max.ms": 2000,
            "error_cb": say,
            "log_level": 2,  # the same in many more words
        }
        | {option: os.environ[name] for name, option in names.items() if name in os.environ}
    )
    joined.subscribe(os.environ.get("TOPICS", ALL_TOPICS).split(","))
    return joined


class Reader:
    """Decodes by the schema that a record's id names; the client keeps every schema that it has seen."""

    def __init__(self, registry: SchemaRegistryClient) -> None:
        self.registry = registry
        self.decode = AvroDeserializer(registry)

    def read(self, value: bytes | None, headers: dict[str, str]) -> dict:
        """Decode one record's value. Raises BadRecordError or AwayError."""
        if value is None:
            raise BadRecordError("no value: a tombstone")
        if len(value) < FRAME_BYTES or value[0] != 0:
            raise BadRecordError("no Confluent frame")
        for name in ("ce_id", "ce_type", "ce_sequence"):
            if not headers.get(name):
                raise BadRecordError(f"no header {name}")
        if not headers["ce_sequence"].isdecimal():
            raise BadRecordError("header ce_sequence is no number")
        schema_id = int.from_bytes(value[1:FRAME_BYTES], "big")
        try:
            self.registry.get_schema(schema_id)
        except Exception as error:
            if isinstance(error, SchemaRegistryError) and error.error_code == UNKNOWN_SCHEMA:
                raise BadRecordError(f"schema id {schema_id} is not in the registry") from error
            raise AwayError(f"registry: {error}") from error
        try:
            return self.decode(value)  # type: ignore[return-value]
        except Exception as error:
            raise BadRecordError(f"not what its schema says: {error or type(error).__name__}") from error


def run(store: Store, stop: Event) -> None:
    """Handle records until told to stop. A partition's records come one after the other: a key keeps its order."""
    reader, group = Reader(registry()), os.environ["GROUP"]
    with closing(consumer()) as joined:  # commits what was stored, and leaves the group
        while not stop.is_set():
            record = joined.poll(0.5)
            if record is None:
                continue
            if error := record.error():
                print("waits", error.str(), flush=True)
                if error.fatal():
                    sys.exit(1)  # a supervisor starts us anew
                continue
            place = f"{record.topic()}/{record.partition()}/{record.offset()}"
            headers = {name: text(value) for name, value in record.headers() or []}
            done = "for another group"
            if headers.get("ce_replaytarget", group) == group:
                try:
                    done = store.take(record, headers, reader.read(record.value(), headers), None)
                except BadRecordError as error:
                    done = store.take(record, headers, None, str(error))
                except AwayError as error:
                    print("waits", error, flush=True)
                    stop.wait(RETRY_SECONDS)
                    again(joined, record)
                    continue
            joined.store_offsets(message=record)
            print(done, place, headers.get("ce_type"), "version", headers.get("ce_sequence"), flush=True)


def again(joined: Consumer, record: Message) -> None:
    """Step back, so that this record comes next; where the partition is somebody else's by now, they have it."""
    try:
        joined.seek(TopicPartition(record.topic(), record.partition(), record.offset()))
    except KafkaException as error:
        print("waits", error, flush=True)


def text(value: str | bytes | None) -> str:
    """Give what is text on the wire."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def main() -> None:
    """Run, `show` or `release`."""
    verb = (sys.argv[1:] or ["run"])[0]
    if missing := [name for name in REQUIRED if name not in os.environ]:
        sys.exit(f"not set: {', '.join(missing)}")
    store, stop = Store(os.environ.get("STORE", "subscriber.db")), Event()

    def told(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    if verb == "run":
        signal.signal(signal.SIGTERM, told)
        signal.signal(signal.SIGINT, told)
        run(store, stop)
        print("stopped")
    elif verb == "show":
        store.show()
    elif verb == "release":
        store.release()
    else:
        sys.exit("subscriber.py [run|show|release]")


if __name__ == "__main__":
    main()
