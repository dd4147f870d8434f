"""The least that each program must be allowed on the broker, for an authorizer that refuses all else.

What a service writes and reads follows from what it has recorded: the topics that bear its name and those of its last
events, its consumer group, the topics that it reacts to. Web and worker do not connect to Kafka, and get nothing. Read
and Write imply Describe.

    relay       Write on its topics; DescribeConfigs for their size limits, so that nothing too large is sent; Read to
                notice a restored database by its last records, and Describe on what its reader is called by
    consumer    Read on the topics that it reacts to, and on its own group
    outbox      the command, and the console's pages: as the relay, on the topics of all the services, since a replay
                writes; Alter to grow one; Describe on every group, to tell who is behind; DescribeConfigs of the
                brokers for `doctor --deploy`
    deploy      `contracts topics`: Create and DescribeConfigs, and no record of any topic
    subscriber  any other reader: as a consumer

Rejected: one principal a service. Whoever takes over a consumer, which reads what others wrote, could publish as the
service.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from shlex import quote
from typing import Final, Literal, NamedTuple

import psycopg

from outbox_relay.databases import full_name, short_name
from outbox_relay.operations import names, reactions
from waybill.contracts.topics import topics

Resource = Literal["topic", "group", "transactional-id", "cluster"]

COMMAND: Final = "outbox"
DEPLOYMENT: Final = "deploy"
CLUSTER: Final = "kafka-cluster"  # the one name of its kind
EVERY: Final = "*"
READERS: Final = "outbox-"  # how those are called that look for a restored database; they commit nothing
# By the primary key, backwards.
RECENT: Final = """
SELECT DISTINCT topic FROM (SELECT topic FROM waybill_outbox ORDER BY position DESC LIMIT 1000) AS newest
WHERE topic IS NOT NULL
"""


class Rule(NamedTuple):
    """What a program's principal is allowed on one resource."""

    program: str
    principal: str
    resource: Resource
    name: str
    operations: tuple[str, ...]
    pattern: Literal["literal", "prefixed"] = "literal"


class Access(NamedTuple):
    """The topics that a service writes, those that it reads, and the group by which it does."""

    writes: Sequence[str]
    reads: Sequence[str]
    group: str


def access_of(service: str, connection: psycopg.Connection) -> Access:
    """Return what the service has recorded. Raises psycopg.Error, also where it has not."""
    recent = {name for (name,) in connection.execute(RECENT)}
    own = {topic.name for topic in topics() if topic.name.startswith(f"{short_name(service)}.")}
    reads = reactions.recorded(service, connection).topics
    return Access(sorted(own | recent), reads, names.recorded(service, connection).group)


def of_services(services: Mapping[str, Access], *, transactions: bool) -> Iterator[Rule]:
    """Yield what each service's relay and consumer must be allowed; `transactions`: WAYBILL_RELAY_TRANSACTIONS."""
    for service, one in services.items():
        relay = f"User:{short_name(service)}_relay"
        for topic in one.writes:
            yield Rule("relay", relay, "topic", topic, ("Write", "Read", "DescribeConfigs"))
        # The client asks who coordinates its group, also where it reads without one.
        yield Rule("relay", relay, "group", READERS, ("Describe",), "prefixed")
        if transactions:
            yield Rule("relay", relay, "transactional-id", f"outbox_relay.{full_name(service)}", ("Write",))
        if one.reads:
            yield from of_subscriber(one.group, one.reads, "consumer")


def of_subscriber(group: str, reads: Collection[str], program: str = "subscriber") -> Iterator[Rule]:
    """Yield what a reader must be allowed that is called as its consumer group."""
    for topic in reads:
        yield Rule(program, f"User:{group}", "topic", topic, ("Read",))
    yield Rule(program, f"User:{group}", "group", group, ("Read",))


def of_operators(services: Mapping[str, Access]) -> Iterator[Rule]:
    """Yield what the command and the step that creates topics must be allowed."""
    known = {topic.name for topic in topics()}.union(*(one.writes for one in services.values()))
    for topic in sorted(known):
        yield Rule(COMMAND, f"User:{COMMAND}", "topic", topic, ("Read", "Write", "Alter", "DescribeConfigs"))
    yield Rule(COMMAND, f"User:{COMMAND}", "group", EVERY, ("Describe",))
    yield Rule(COMMAND, f"User:{COMMAND}", "cluster", CLUSTER, ("DescribeConfigs",))
    for topic in sorted(one.name for one in topics()):
        yield Rule(DEPLOYMENT, f"User:{DEPLOYMENT}", "topic", topic, ("Create", "Describe", "DescribeConfigs"))


def command(rule: Rule, bootstrap: str) -> str:
    """Return the command of Kafka's that allows it."""
    named = "--cluster" if rule.resource == "cluster" else f"--{rule.resource} {quote(rule.name)}"
    pattern = "" if rule.pattern == "literal" else f" --resource-pattern-type {rule.pattern}"
    operations = " ".join(f"--operation {one}" for one in rule.operations)
    return (
        f"kafka-acls.sh --bootstrap-server {bootstrap} --command-config admin.properties --add "
        f"--allow-principal {quote(rule.principal)} {operations} {named}{pattern}"
    )
