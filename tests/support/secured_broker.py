"""A broker as in production: TLS, passwords (SCRAM), and rules without which nobody may do anything.

Beside the listener that clients should use there are two whose certificates nobody should trust, and one that knows its
clients by their certificates. The tests' own way in is the plain one, whose user may do everything.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from devstack.harness.interrupts import undisturbed
from devstack.parts import Site
from tests.support.broker import ANYBODY, SETTINGS, Broker
from tests.support.certificates import HOST, Authority
from tests.support.providers.process import free_port

LISTENERS = ("secured", "expired", "elsewhere", "mutual")
LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
ITERATIONS = 4_096  # Kafka's least
OPERATIONS = {
    "Alter": AclOperation.ALTER,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
}
KINDS = {
    "cluster": ResourceType.BROKER,
    "group": ResourceType.GROUP,
    "topic": ResourceType.TOPIC,
    "transactional-id": ResourceType.TRANSACTIONAL_ID,
}


class SecuredBroker(Broker):
    """A broker that asks who calls."""

    def __init__(self, folder: Path, reauthentication_ms: int = 0) -> None:
        """Format its storage, and make its certificates; a connection outlives its password by so much, 0 for ever."""
        self.folder, self._reauthentication_ms = folder, reauthentication_ms
        self.authority = Authority(folder / "ca.pem")
        self.addresses = {name: f"{HOST}:{free_port()}" for name in LISTENERS}
        authority = self.authority
        self._certificates = {
            "secured": authority.issue(folder / "secured.pem"),
            "expired": authority.issue(folder / "expired.pem", ends=timedelta(hours=-1)),
            "elsewhere": authority.issue(folder / "elsewhere.pem", address="192.0.2.1"),
            "mutual": authority.issue(folder / "mutual.pem"),
        }
        super().__init__(folder / "broker")

    def _settings(self, site: Site) -> dict[str, str]:
        own = {f"{name.upper()}": address for name, address in self.addresses.items()}
        reached = {"PLAINTEXT": site.kafka, **own}
        controller = f"{HOST}:{site.ports['kafka.controller']}"
        protocols = {"PLAINTEXT": "PLAINTEXT", "CONTROLLER": "PLAINTEXT", **dict.fromkeys(own, "SASL_SSL")}
        stores = {f"listener.name.{name}.ssl.keystore.location": str(file) for name, file in self._certificates.items()}
        return {
            **SETTINGS,
            "allow.everyone.if.no.acl.found": "false",
            "super.users": ANYBODY,
            "listeners": _listed(reached | {"CONTROLLER": controller}, "://"),
            "advertised.listeners": _listed(reached, "://"),
            "listener.security.protocol.map": _listed(protocols | {"MUTUAL": "SSL"}, ":"),
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            **{f"listener.name.{name}.scram-sha-512.sasl.jaas.config": LOGIN for name in LISTENERS if name != "mutual"},
            "connections.max.reauth.ms": str(self._reauthentication_ms),
            "ssl.keystore.type": "PEM",
            "ssl.truststore.type": "PEM",
            "listener.name.mutual.ssl.truststore.location": str(self.authority.file),
            "listener.name.mutual.ssl.client.auth": "required",
            **stores,
        }

    def set_password(self, user: str, password: str) -> None:
        """Give a user this password, and take the one of before."""
        change = UserScramCredentialUpsertion(
            user, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, ITERATIONS), password.encode()
        )
        admin = self.admin()
        admin.alter_user_scram_credentials([change])[user].result(10)

    def properties(self, user: str, password: str, **more: str) -> str:
        """Return the text of a client's properties file; `more` in place of dots has underscores."""
        options = {
            "security.protocol": "SASL_SSL",
            "ssl.ca.location": str(self.authority.file),
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": password,
            **{name.replace("_", "."): value for name, value in more.items()},
        }
        return "".join(f"{name} = {value}\n" for name, value in options.items())

    def let_in(self, user: str, *rules: Mapping[str, object]) -> dict[str, str]:
        """Give a subscriber a password, its own name, and these rights; returns its environment."""
        self.set_password(user, user)
        self.allow(*rules)
        return {
            "KAFKA_BOOTSTRAP": self.addresses["secured"],
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA_FILE": str(self.authority.file),
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD": user,
        }

    def allow(self, *rules: Mapping[str, object]) -> None:
        """Allow what `outbox acls --json` prints."""
        admin = self.admin()
        for made in admin.create_acls([one for rule in rules for one in bindings(rule)]).values():
            made.result(10)

    def forbid(self, principal: str) -> None:
        """Take a user's rights."""
        everything = AclBindingFilter(
            ResourceType.ANY, None, ResourcePatternType.ANY, principal, None, AclOperation.ANY, AclPermissionType.ANY
        )
        admin = self.admin()
        admin.delete_acls([everything])[everything].result(10)


def bindings(rule: Mapping[str, object]) -> Iterator[AclBinding]:
    """Yield a rule as the client has them."""
    for operation in rule["operations"]:
        yield AclBinding(
            KINDS[str(rule["resource"])],
            str(rule["name"]),
            ResourcePatternType[str(rule.get("pattern", "literal")).upper()],
            str(rule["principal"]),
            "*",
            OPERATIONS[operation],
            AclPermissionType.ALLOW,
        )


def _listed(of: Mapping[str, str], between: str) -> str:
    return ",".join(f"{name}{between}{value}" for name, value in of.items())


@contextmanager
def secured_broker(reauthentication_ms: int = 0) -> Iterator[SecuredBroker]:
    """Run one, and see to it that none is left."""
    with tempfile.TemporaryDirectory(prefix="waybill-broker-", ignore_cleanup_errors=True) as folder:
        running = SecuredBroker(Path(folder), reauthentication_ms)
        try:
            running.start()
            yield running
        finally:
            with undisturbed():
                running.kill()
