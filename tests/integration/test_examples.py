"""Two ordinary Django projects on the built wheel: one tells what happens, the other acts on it, whatever is killed.

The tutorial is followed line by line, from the project as it was before to the record on the topic.
"""

import re
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from devstack.harness.stack import CHECKOUT, Stack
from devstack.harness.wait import wait_until
from tests.support import environments, topics
from tests.support.environments import Environment, surroundings
from tests.support.projects import Project, project
from tests.support.providers.process import free_port

PAGE = CHECKOUT / "docs" / "tutorial.md"
STEP = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"`(schemas/[\w./]+\.avsc)`")
LINKED = re.compile(r"\(\.\./examples/bookings/(schemas/[\w./]+\.avsc)\)")
MOST_LINES = 25

DRIVER = "psycopg[binary]>=3.2"
TOPIC = "bookings.events.v1"
WRITERS = 3
ENDLESS = str(10**6)
# Asks each admin page as a superuser, and to add a row; prints the page's name and the two answers.
LOOK = """
from django.contrib.auth import get_user_model
from django.test import Client
staff = Client(SERVER_NAME="localhost")
staff.force_login(get_user_model().objects.create_superuser("staff"))
for page in {pages!r}:
    shown = staff.get(f"/admin/{{page}}/")
    print(page, shown.status_code, staff.get(f"/admin/{{page}}/add/").status_code)
row = staff.get("/admin/{row}/change/")
print(row.status_code, {text!r} in row.content.decode(), "_save" in row.content.decode())
"""
PAGES_OF_OUTBOX = ["waybill_outbox/outboxevent", "waybill_outbox/operatoraction", "django_outbox_pattern/published"]
MORE = 20
POINTS_A_NIGHT = 10
DEADLINE_SECONDS = 120
BROKEN = "points_are_broken"
REPLAY = ("replay", "--service", "bookings", "--positions", "1..")

OUTBOX = "SELECT event_id::text, aggregate_id, aggregate_version FROM waybill_outbox ORDER BY position"
WRITING = """
SELECT FROM pg_stat_activity
WHERE datname = current_database() AND application_name = '' AND pid <> pg_backend_pid()
"""
ENTRIES = "SELECT reason FROM loyalty_entry ORDER BY id"
POINTS_MEANT = """
SELECT guest_id, sum(leaves - arrives) FROM bookings_booking WHERE cancelled_at IS NULL GROUP BY guest_id
"""
POINTS_GIVEN = "SELECT guest, points FROM loyalty_account WHERE points <> 0"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return environments.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Environment:
    """The wheel on the newest Django, and no checkout."""
    wanted = (f"waybill[contracts,relay,inbox,cli] @ {wheel.as_uri()}", DRIVER)
    return environments.make(
        tmp_path_factory.mktemp("installed") / "venv", *wanted, python=environments.newest_python()
    )


@pytest.fixture
def bookings(stack: Stack, installed, tmp_path) -> Iterator[Project]:
    """Migrated and registered, with a topic that has no record yet."""
    delete_topic(stack.kafka)
    with project(stack, "bookings", tmp_path, installed) as made:
        prepare(made)
        yield made


@pytest.fixture
def loyalty(stack: Stack, installed, tmp_path) -> Iterator[Project]:
    with project(stack, "loyalty", tmp_path, installed) as made:
        prepare(made)
        yield made


def prepare(made: Project) -> None:
    made.manage("migrate", "--verbosity", "0")
    made.manage("contracts", "topics")
    made.manage("contracts", "register")


def delete_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    deleted = admin.delete_topics([TOPIC])
    try:
        deleted[TOPIC].result(30)
    except KafkaException as error:
        if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise
    wait_until(
        lambda: TOPIC not in admin.list_topics(timeout=10).topics, deadline_seconds=30, what=f"{TOPIC} is deleted"
    )


def records(bootstrap: str) -> list[tuple[str, str, int]]:
    """Event id, key and version of every record, partition by partition."""
    found = []
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "examples", "enable.auto.commit": False})
    try:
        for end in topics.ends(bootstrap, TOPIC):
            consumer.assign([TopicPartition(TOPIC, end.partition, 0)])
            read = 0
            while read < end.offset:
                record = consumer.poll(10)
                assert record is not None, f"{TOPIC}/{end.partition} ends at {end.offset}"
                assert record.error() is None, record.error()
                headers = {name: value.decode() for name, value in record.headers()}
                found.append((headers["ce_id"], record.key().decode(), int(headers["ce_sequence"])))
                read = record.offset() + 1
    finally:
        consumer.close()
    return found


def by_key(versions: list[tuple[str, int]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for key, version in versions:
        found[key].append(version)
    return found


def applied(loyalty: Project) -> list[tuple[str, int]]:
    """Booking and version of every entry, in the order in which they were applied."""
    told = [re.fullmatch(r"\w+ (\d+) version (\d+)", reason) for (reason,) in loyalty.rows(ENTRIES)]
    return [(one[1], int(one[2])) for one in told if one]


def progress(project: Project, count: str, more: int, what: str) -> None:
    """Wait until the project's database has so many rows more."""
    (now,) = project.rows(count)[0]
    wait_until(lambda: project.rows(count)[0][0] >= now + more, deadline_seconds=DEADLINE_SECONDS, what=what)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_all_is_applied_once_in_order_whatever_is_killed(stack: Stack, bookings, loyalty):
    events, entries = "SELECT count(*) FROM waybill_outbox", "SELECT count(*) FROM loyalty_entry"
    bookings.variables["WAYBILL_PORT"] = str(free_port())
    writers = [bookings.start("guests", "--actions", ENDLESS, "--seed", str(n)) for n in range(WRITERS)]
    relay, consumer = bookings.start("relay"), loyalty.start("consume")
    progress(loyalty, entries, 1, "an event reaches loyalty")

    writers.pop().kill()
    progress(bookings, events, MORE, "the other writers go on")
    consumer.kill()
    progress(bookings, events, MORE, "bookings are made without loyalty")
    loyalty.start("consume")
    progress(loyalty, entries, MORE, "the new consumer goes on")
    relay.kill()
    progress(bookings, events, MORE, "bookings are made without a relay")
    for writer in writers:
        writer.kill()
    bookings.start("relay")
    wait_until(lambda: not bookings.rows(WRITING), deadline_seconds=30, what="what the writers had begun has ended")

    committed = bookings.rows(OUTBOX)
    wait_until(
        lambda: loyalty.rows(entries)[0][0] >= len(committed),
        deadline_seconds=DEADLINE_SECONDS,
        what=f"all {len(committed)} events are applied",
        seen=[bookings.log("relay"), loyalty.log("consume")],
    )
    versions = by_key([(key, version) for _, key, version in committed])
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values()), "contiguous in commit order"
    assert by_key(applied(loyalty)) == versions
    published = records(stack.kafka)
    assert {event_id for event_id, _, _ in published} == {event_id for event_id, _, _ in committed}
    assert_in_order(published)
    points = {guest: int(nights) * POINTS_A_NIGHT for guest, nights in bookings.rows(POINTS_MEANT)}
    assert dict(loyalty.rows(POINTS_GIVEN)) == points
    assert loyalty.manage("redrive") == "", "no dead letter was left"


@pytest.mark.slow
def test_the_admin_pages_show_the_outbox_and_cannot_write(bookings):
    bookings.manage("guests", "--actions", "5", "--seed", "1")
    script = LOOK.format(pages=PAGES_OF_OUTBOX, row="waybill_outbox/outboxevent/1", text="&quot;booking_id&quot;: 1")
    *pages, row = bookings.manage("shell", "-c", script).splitlines()[-4:]
    assert pages == [f"{page} 200 403" for page in PAGES_OF_OUTBOX]
    assert row == "200 True False"


@dataclass
class Operator:
    """Who runs the `outbox` command, installed from the wheel, in a project's folder."""

    project: Project
    variables: dict[str, str]

    def outbox(self, *arguments: str, code: int = 0) -> str:
        """What the command says on both streams; fails where it ends with another code."""
        done = self._run(*arguments)
        assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def status(self) -> str | None:
        """What `status` says; None while anything is wrong."""
        done = self._run("status")
        return None if done.returncode else done.stdout

    def _run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.project.environment.command("-m", "outbox_relay", *arguments),
            cwd=self.project.folder,
            env=surroundings(**(self.project.variables | self.variables)),
            capture_output=True,
            text=True,
            timeout=DEADLINE_SECONDS,
            check=False,
        )


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_verb_of_the_outbox_command_serves_the_two_projects(stack: Stack, bookings, loyalty):
    bookings.variables["WAYBILL_PORT"] = str(free_port())
    databases = f"bookings={bookings.database_url},loyalty={loyalty.database_url}"
    told = {"WAYBILL_OUTBOX_DATABASES": databases, "WAYBILL_SCHEMAS": "schemas"}
    writing = Operator(bookings, told | {"WAYBILL_EVENTS": "bookings.events"})
    reading = Operator(loyalty, told | {"WAYBILL_EVENTS": "loyalty.events"})
    bookings.manage("guests", "--actions", str(MORE), "--seed", "1")
    loyalty.execute(f"ALTER TABLE loyalty_account ADD CONSTRAINT {BROKEN} CHECK (points < 0)")
    bookings.start("relay")
    loyalty.start("consume")
    progress(loyalty, "SELECT count(*) FROM received", MORE, "every message is received")

    said = wait_until(reading.status, deadline_seconds=30, what="the relay's heartbeat")
    assert said.count("working") == 1, "loyalty's consumer, and no relay is missed there"
    assert BROKEN in reading.outbox("dead-letters", "--service", "loyalty")
    assert BROKEN in reading.outbox("redrive", "--service", "loyalty", "--reason", "a try", code=1)
    loyalty.execute(f"ALTER TABLE loyalty_account DROP CONSTRAINT {BROKEN}")
    assert f"{MORE} messages handled" in reading.outbox("redrive", "--service", "loyalty", "--reason", "mended")
    assert "verified" in reading.outbox("verify")

    assert "to loyalty" in writing.outbox(*REPLAY, "--to-consumer", "loyalty", "--execute", "--reason", "a test")
    assert "no such consumer group" in writing.outbox(*REPLAY, "--to-consumer", "loyalty_service", code=2)
    assert "done" in writing.outbox("jobs")
    event_id, partition, offset = first_record(stack.kafka)
    record = ("--topic", TOPIC, "--partition", partition, "--offset", offset)
    bookings.execute("DELETE FROM waybill_outbox WHERE event_id = %s", event_id)
    assert event_id in writing.outbox("verify", "--full", code=1)
    writing.variables["WAYBILL_OWNER_DATABASE_URL"] = bookings.database_url
    writing.outbox("restore", "--service", "bookings", *record, "--execute", "--reason", "it was deleted")
    assert '"nights":' in writing.outbox("show", event_id, "--json")
    assert "verified" in bookings.manage("outbox", "verify", "--full"), "told by the project's settings"

    writing.outbox("pause", "--service", "bookings", "--reason", "it grows")
    writing.outbox("grow", TOPIC, "--to", "8", "--execute", "--reason", "a test")
    writing.outbox("resume", "--service", "bookings")
    assert "loyalty has read past it" in reading.outbox("skip", "--service", "loyalty", *record, code=1)
    assert "misses no records" in writing.outbox("acknowledge", "--service", "bookings", "--missing", "--all", code=1)
    assert writing.outbox("attention") == ""
    assert writing.outbox("rebuild", "--check") == ""
    for verb in (("rebuild", "--check"), ("rebuild", "--repair"), ("settle", "1", "--written-off")):
        assert "loyalty is a project without deciders" in reading.outbox(*verb, "--service", "loyalty", code=2)


def first_record(bootstrap: str) -> tuple[str, str, str]:
    """Event id, partition and offset of a record at the beginning of the topic."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "examples", "enable.auto.commit": False})
    try:
        consumer.assign([TopicPartition(TOPIC, end.partition, 0) for end in topics.ends(bootstrap, TOPIC)])
        record = consumer.poll(10)
        assert record is not None
        return dict(record.headers())["ce_id"].decode(), str(record.partition()), str(record.offset())
    finally:
        consumer.close()


def assert_in_order(published: list[tuple[str, str, int]]) -> None:
    """The first copy of each record stands behind the versions before its own."""
    seen: dict[str, int] = defaultdict(int)
    for _, key, version in published:
        assert version <= seen[key] + 1, f"{key}: version {version} after {seen[key]}"
        seen[key] = max(seen[key], version)


def steps() -> list[tuple[str, str, str]]:
    """Language, text, and what the page says before it, of every block of the tutorial."""
    page = PAGE.read_text()
    return [(found[1], found[2], page[: found.start()]) for found in STEP.finditer(page)]


def test_the_diff_that_adds_the_outbox_is_short_and_is_that_of_the_example():
    diffs = [text for language, text, _ in steps() if language == "diff"]
    lines = "".join(diffs).splitlines()
    assert 0 < sum(re.match(r"[+-](?![+-]{2} )", line) is not None for line in lines) <= MOST_LINES
    for diff in diffs:
        apply(diff, CHECKOUT / "examples" / "bookings", "--check", "--reverse")


@pytest.fixture
def before(stack: Stack, wheel, tmp_path) -> Iterator[Project]:
    """The project without Waybill, in an environment without it."""
    delete_topic(stack.kafka)
    alone = environments.make(tmp_path / "venv", "django", DRIVER, python=environments.newest_python())
    with project(stack, "bookings", tmp_path, alone) as made:
        for language, text, _ in steps():
            if language == "diff":
                apply(text, made.folder, "--reverse")
        (made.folder / "bookings" / "events.py").unlink()
        shutil.rmtree(made.folder / "schemas")
        left = [path for path in made.folder.rglob("*.py") if "waybill" in path.read_text()]
        assert left == []
        yield made


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_tutorial_leads_from_the_project_to_a_record_on_the_topic(stack: Stack, before, wheel):
    assert "OK" in run(before, wheel, "python manage.py test 2>&1")
    for path in LINKED.findall(PAGE.read_text()):
        write(before.folder / path, (CHECKOUT / "examples" / "bookings" / path).read_text())
    said = ""
    for language, text, above in steps():
        match language:
            case "diff":
                apply(text, before.folder)
            case "json":
                write(before.folder / FILE.findall(above)[-1], text)
            case "python":
                write(before.folder / "read.py", text)
            case "console":
                program, *arguments = shlex.split(text)[1:]
                assert (program, arguments[0]) == ("python", "manage.py")
                before.variables["WAYBILL_PORT"] = str(free_port())
                before.start(*arguments[1:])
            case "sh":
                said = follow(before, wheel, text, stack.kafka)
            case "text":
                assert re.match(re.sub(r"\d+", r"\\d+", re.escape(text.strip())), said), said


def follow(project: Project, wheel: Path, lines: str, kafka: str) -> str:
    """What the last of the lines prints; the record that the page reads is there by then."""
    said = ""
    for line in lines.splitlines():
        if "read.py" in line:
            wait_until(lambda: records(kafka), deadline_seconds=DEADLINE_SECONDS, what="a record")
        said = run(project, wheel, line)
    return said


def run(project: Project, wheel: Path, line: str) -> str:
    """What a line of a shell prints in the project's folder; fails where it does."""
    if line.startswith("export "):
        return ""  # the addresses of the tutorial's reader
    if line.startswith("pip install "):
        (wanted,) = shlex.split(line)[2:]
        environments.install(project.environment, f"{wanted} @ {wheel.as_uri()}")
        return ""
    path = f"{project.environment.python.parent}:{environments.surroundings()['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=project.folder,
        env=environments.surroundings(**project.variables) | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout


def apply(diff: str, folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["git", "apply", "-p1", *options], cwd=folder, input=diff, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
