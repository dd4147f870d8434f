"""A Kafka broker of the tests' own, which they may kill, freeze, and damage; the stack's serves everybody else."""

import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from devstack.cache import aot
from devstack.cache.artifacts import fetch
from devstack.folder import Folder
from devstack.harness.interrupts import undisturbed
from devstack.harness.wait import wait_until
from devstack.infrastructure import kafka
from devstack.parts import Site, inherited, port_names
from devstack.ports import HOST, choose
from outbox_relay.relay.kafka.broker import SILENT

CLUSTER: Final = "AAAAAAAAAAAAAAAAAAAAAQ"
SETTINGS: Final = {
    # Whoever is not named may do everything: nobody logs in here, and the relay is whom the rules are about.
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
    # A killed broker is let in again once its last session has run out.
    "broker.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "200",
}
ANYBODY: Final = "User:ANONYMOUS"


class Broker:
    """One broker with data and a port that outlive its process: number 1, or number 2 beside it."""

    def __init__(self, folder: Path, first: "Broker | None" = None) -> None:
        """Format its storage; blocks for a second."""
        home = fetch(["kafka"])["kafka"]
        self._folder = Folder(folder)
        self._folder.data.mkdir(parents=True)
        ports = choose(port_names(["kafka"]), {}, {})
        site = Site(ports=ports, secrets={"kafka": CLUSTER}, jwks_file=self._folder.data, data=self._folder.data)
        self.bootstrap = site.kafka
        self._number = 1 if first is None else 2
        self._controller = f"1@{HOST}:{ports['kafka.controller']}" if first is None else first._controller
        kafka.prepare(site, self._folder, home)
        more = self._settings(site) if first is None else SETTINGS | self._beside_the_first()
        with kafka.config_file(self._folder).open("a") as config:
            config.writelines(f"{name}={value}\n" for name, value in more.items())
        if first is not None:
            kafka.format_storage(site, self._folder, home)
        self._command = kafka.part(site, self._folder, home, *aot.options(home)).command
        self._process: subprocess.Popen[bytes] | None = None

    def _settings(self, _: Site) -> dict[str, str]:
        """Return what is set beside the local stack's own."""
        return dict(SETTINGS)

    def _beside_the_first(self) -> dict[str, str]:
        return {
            "process.roles": "broker",
            "node.id": "2",
            "controller.quorum.voters": self._controller,
            "listeners": f"PLAINTEXT://{self.bootstrap}",
        }

    def start(self) -> None:
        """Start it on the data that it has; returns when it answers."""
        with (self._folder.path / "kafka.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=self._folder.path, env=inherited(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._answers, deadline_seconds=60, what="the broker", every_seconds=0.1)

    def kill(self) -> None:
        """End it as a power cut does, but for what the operating system has yet to write."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def freeze(self) -> None:
        """Let it keep its connections and answer nobody."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Continue it after a freeze."""
        self._signal(signal.SIGCONT)

    def repair(self) -> None:
        """Bring it back, whatever a test has left."""
        if self._process is None:
            self.start()
        else:
            self.thaw()
            wait_until(self._answers, deadline_seconds=30, what="the broker", every_seconds=0.1)

    def cut_tail(self, topic: str, partition: int) -> None:
        """Take the last third of a partition's only segment away, as a power cut may; it must not be running."""
        folder = self._folder.data / "kafka" / "log" / f"{topic}-{partition}"
        (segment,) = folder.glob("*.log")
        os.truncate(segment, segment.stat().st_size * 2 // 3)
        for kind in ("*.index", "*.timeindex", "*.snapshot"):
            for file in folder.glob(kind):
                file.unlink()

    def configure(self, topic: str, name: str, value: int) -> None:
        """Set one of a topic's settings."""
        entry = ConfigEntry(name, str(value), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        admin = self.admin()
        admin.incremental_alter_configs([resource])[resource].result(10)

    def make_topic_with_two_replicas(self, partitions: int = 3) -> str:
        """Create a topic that this broker leads and the second one follows."""
        name = f"test.{uuid.uuid4().hex[:12]}.v1"
        topic = NewTopic(name, partitions, replica_assignment=[[1, 2]] * partitions)
        admin = self.admin()
        admin.create_topics([topic])[name].result(10)
        return name

    def delete_topic(self, topic: str) -> None:
        """Delete a topic; returns when nobody sees it any more."""
        admin = self.admin()
        admin.delete_topics([topic])[topic].result(10)
        wait_until(lambda: topic not in admin.list_topics(timeout=5).topics, deadline_seconds=10, what="no topic")

    def delete_records(self, topic: str, partitions: int) -> None:
        """Delete every record that a topic has."""
        to_the_end = [TopicPartition(topic, partition, -1) for partition in range(partitions)]
        admin = self.admin()
        for future in admin.delete_records(to_the_end).values():
            future.result(10)

    @contextmanager
    def read_only(self, topic: str) -> Iterator[None]:
        """Let nobody write to the topic, which everybody may still read."""
        rules = [_allow(topic, operation) for operation in (AclOperation.READ, AclOperation.DESCRIBE_CONFIGS)]
        admin = self.admin()
        for future in admin.create_acls(rules).values():
            future.result(10)
        try:
            yield
        finally:
            for future in admin.delete_acls([_all_of(topic)]).values():
                future.result(10)

    def is_known_to(self, other: "Broker") -> bool:
        """Say whether clients of the other broker are told of this one."""
        try:
            return self._number in other.admin().list_topics(timeout=1).brokers
        except KafkaException:
            return False

    def admin(self) -> AdminClient:
        """Return a client, which must be kept: its futures die with it."""
        return AdminClient({"bootstrap.servers": self.bootstrap, "logger": SILENT})

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "the broker has ended: see its kafka.log"
        return self.is_known_to(self)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


def _allow(topic: str, operation: AclOperation) -> AclBinding:
    return AclBinding(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, ANYBODY, "*", operation, AclPermissionType.ALLOW
    )


def _all_of(topic: str) -> AclBindingFilter:
    return AclBindingFilter(
        ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, None, None, AclOperation.ANY, AclPermissionType.ANY
    )


@contextmanager
def own_broker(first: Broker | None = None) -> Iterator[Broker]:
    """Run a broker, alone or beside a first one, and see to it that none is left."""
    with tempfile.TemporaryDirectory(prefix="waybill-broker-", ignore_cleanup_errors=True) as folder:
        running = Broker(Path(folder), first)
        try:
            running.start()
            yield running
        finally:
            with undisturbed():
                running.kill()
            if first is not None:
                wait_until(lambda: not running.is_known_to(first), deadline_seconds=30, what="one broker")
