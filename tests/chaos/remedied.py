"""Faults that an operator has to repair: each does its harm, and then runs the commands that the runbook names."""

import subprocess
from collections.abc import Sequence
from importlib import import_module
from random import Random
from uuid import UUID

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from psycopg import sql

from devstack import parts
from devstack.harness.stack import CHECKOUT
from devstack.harness.wait import wait_until
from devstack.infrastructure import postgres
from devstack.processes import supervisor
from outbox_relay.cli.verb import DEPENDENCY_DOWN
from outbox_relay.operations.topics.topic import committed
from schemas.events import EVENTS
from tests.chaos.stage import BACK_SECONDS, SERVICES, Stage
from tests.chaos.standby import standby
from tests.support import topics
from tests.support.postgres import run_as_user
from waybill.contracts.topics import topics as declared_topics

# The table that a service's programs write with every order, beside its inbox and outbox.
TABLES = {"order": "orders", "inventory": "reservations", "payment": "payments", "notification": "notifications"}
SECONDS = 4.0
RECORDS = 3  # fewer than the dead letters that stop a consumer
REASON = ("--reason", "a fault of this run")


def lose_rights(stage: Stage, rng: Random) -> bool:
    """Take a service's role the rights on its own table, as a restore without privileges does; then migrate."""
    service = rng.choice(SERVICES)
    names = {"table": sql.Identifier(TABLES[service]), "role": sql.Identifier(f"{service}_service")}
    with stage.superuser(service) as session:
        session.execute(sql.SQL("REVOKE ALL ON {table} FROM {role}").format(**names))
        stage.hold(SECONDS)
    stage.migrate(service)
    return True


def lead_to_standby(stage: Stage, rng: Random) -> bool:
    """Lead a service's programs to a standby, as a name does that was not moved yet after a failover."""
    link = f"{rng.choice(SERVICES)}.postgres"
    with standby(stage) as server:
        stage.proxy.lead(link, server.port)
        stage.hold(SECONDS)
        stage.proxy.lead(link, stage.proxy.targets[link])
    return True


def arbitrary_records(stage: Stage, rng: Random) -> bool:
    """Put records of arbitrary bytes on a topic; then discard what they became, and acknowledge where they stand."""
    declared = rng.choice(declared_topics())
    topic = declared.name
    types = [kind.event_type for kind in EVENTS.values() if kind.topic == topic]
    places: list[tuple[int, int]] = []
    producer = Producer({"bootstrap.servers": stage.stack.kafka})
    for _ in range(RECORDS):
        headers: list[tuple[str, bytes | None]] = [(topics.ARBITRARY, b"1"), ("note", rng.randbytes(50))]
        if rng.random() < 0.7:
            headers.append(("ce_type", rng.choice(types).encode()))
        if rng.random() < 0.5:
            headers.append(("ce_id", str(UUID(bytes=rng.randbytes(16))).encode()))
        key, value = (rng.choice([None, rng.randbytes(rng.randint(0, 5_000))]) for _ in range(2))
        producer.produce(
            topic,
            value,
            key,
            headers=headers,
            on_delivery=lambda _, message: places.append((message.partition(), message.offset())),
        )
    assert producer.flush(BACK_SECONDS) == 0
    wait_until(lambda: _passed(stage, topic, places), deadline_seconds=BACK_SECONDS, what="arbitrary records read")
    for partition, offset in places:
        place = ("--topic", topic, "--partition", str(partition), "--offset", str(offset))
        for service in _readers(topic):
            _outbox(stage, "discard", "--service", service, "--messages", *place, "--execute", *REASON)
        if not declared.written_by:  # else it is proved where it is written, by another project
            _outbox(stage, "acknowledge", "--service", topic.partition(".")[0], *place, "--execute", *REASON)
    return True


def pass_retention(stage: Stage, rng: Random) -> bool:
    """Remove what a stopped consumer has not read of its topic; then send the topic's events again."""
    service = rng.choice(("inventory", "payment", "notification"))
    supervisor.call(stage.folder, "stopProcess", f"{service}.consumer")
    stage.hold(SECONDS)
    admin = AdminClient({"bootstrap.servers": stage.stack.kafka})  # kept: its answers end with it
    for removed in admin.delete_records(topics.ends(stage.stack.kafka, "order.events.v1")).values():
        removed.result(BACK_SECONDS)
    supervisor.call(stage.folder, "startProcess", f"{service}.consumer", supervisor.NO_WAIT)
    _outbox(stage, "replay", "--service", "order", "--since", "1h", "--with-effects", "--execute", *REASON)
    return True


def restore_database(stage: Stage, rng: Random) -> bool:
    """Put the notifications' database back to what it was seconds ago; then send again what it had received since."""
    programs = [name for name in parts.names() if name.startswith("notification.")]
    dump = stage.folder.postgres.parent / "notification.dump"
    url = stage.stack.database("notification")
    run_as_user(postgres.programs() / "pg_dump", "-Fc", "-f", dump, url)
    stage.hold(SECONDS)
    for name in programs:
        supervisor.call(stage.folder, "stopProcess", name)
    run_as_user(postgres.programs() / "pg_restore", "--clean", "--if-exists", "-d", url, dump)
    for name in programs:
        supervisor.call(stage.folder, "startProcess", name, supervisor.NO_WAIT)
    _outbox(stage, "acknowledge", "--service", "notification", "--all", "--execute", *REASON)
    for writer in ("order", "payment"):
        to = ("--to-consumer", "notification_service", "--with-effects")
        _outbox(stage, "replay", "--service", writer, "--since", "1h", *to, "--execute", *REASON)
    return True


def _readers(topic: str) -> list[str]:
    return [one for one in SERVICES if topic in import_module(f"{one}_service.service").service.topics]


def _passed(stage: Stage, topic: str, places: Sequence[tuple[int, int]]) -> bool:
    """Say whether every service that reads the topic has committed its offsets behind the places."""
    kafka = {"bootstrap.servers": stage.stack.kafka}
    for service in _readers(topic):
        offsets = committed(kafka, f"{service}_service", {topic})
        if any(offsets.get((topic, partition), 0) <= offset for partition, offset in places):
            return False
    return True


def _outbox(stage: Stage, *arguments: str) -> None:
    """Run the command, again while a database or the broker is away, as it may be beside another fault.

    1 is no failure: nothing matched.
    """

    def ended() -> subprocess.CompletedProcess[str] | None:
        done = subprocess.run(
            parts.python("outbox_relay", *arguments),
            cwd=CHECKOUT,
            env=stage.stack.environment,
            capture_output=True,
            text=True,
            timeout=2 * BACK_SECONDS,
            check=False,
        )
        said[:] = [done.stderr[-500:]]
        return None if done.returncode == DEPENDENCY_DOWN else done

    said: list[str] = []
    what = f"outbox {' '.join(arguments)}"
    done = wait_until(ended, deadline_seconds=BACK_SECONDS, what=what, every_seconds=1, seen=said)
    assert done is not None
    assert done.returncode in {0, 1}, f"{what}: {done.returncode} {done.stderr[-500:]}"
