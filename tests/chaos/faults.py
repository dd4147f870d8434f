"""What goes wrong: each fault does its harm, waits as long as it lasts, and repairs what does not repair itself.

`inject` blocks, and returns whether the harm was done: a fail point that no process came by was not reached. A fault
is `quick` where it takes so little time that a run of three minutes has room for it.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

import psutil
import psycopg

from devstack import parts
from devstack.harness.wait import wait_until
from tests.chaos import disk, remedied
from tests.chaos.stage import MAX_POLL_SECONDS, SERVICES, Stage

Inject = Callable[[Stage, Random], bool]
KINDS = ("web", "consumer", "worker", "relay", "provider", "registry", "kafka", "postgres")
POINTS = (
    ("relay.fetched", SERVICES),
    ("relay.produced", SERVICES),
    ("relay.acknowledged", SERVICES),
    ("relay.before_cursor", SERVICES),
    ("consumer.polled", SERVICES),
    ("consumer.committed", SERVICES),
    ("unit_of_work.appended", SERVICES),
    ("worker.answered", ("payment", "notification")),
)
POINT_SECONDS = 15
STALE_SECONDS = 9  # longer than it takes a relay to be found frozen
JUMP_SECONDS = 7_200
IDLE = 300


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong, for about so many seconds."""

    name: str
    seconds: float
    inject: Inject
    needs: str = ""  # links, clock or disk
    shakes_database: bool = False  # customers may be told 503

    @property
    def is_quick(self) -> bool:
        return self.seconds <= 10


def pick(kind: str, rng: Random) -> str:
    """Return a program of that kind."""
    return rng.choice([name for name in parts.names() if name == kind or name.endswith(f".{kind}")])


def kill(kind: str, stage: Stage, rng: Random) -> bool:
    name = pick(kind, rng)
    family = stage.family(name)
    if not family:
        return False
    victim = rng.choice(family) if kind == "web" else family[0]
    with suppress(psutil.Error):
        victim.kill()
    if victim.pid == family[0].pid:
        stage.until_back(name, victim.pid)
    return True


def freeze(kind: str, seconds: float, stage: Stage, rng: Random) -> bool:
    name = pick(kind, rng)
    family = stage.family(name)
    for one in family:
        with suppress(psutil.Error):
            one.suspend()
    stage.hold(seconds)
    for one in reversed(family):
        with suppress(psutil.Error):
            one.resume()
    return bool(family)


def restart(name: str, number: signal.Signals, stage: Stage, _rng: Random) -> bool:
    pid = stage.tell(name, number)
    stage.until_back(name, pid)
    return pid > 0


def kill_at(point: str, services: tuple[str, ...], stage: Stage, rng: Random) -> bool:
    return _arrived(stage, rng.choice(services), point, "kill")


def _arrived(stage: Stage, service: str, point: str, action: str) -> bool:
    file = stage.arm(service, point, action)
    with suppress(AssertionError):
        wait_until(lambda: not file.exists(), deadline_seconds=POINT_SECONDS, what=f"{service} at {point}")
        return True
    file.unlink(missing_ok=True)
    return False


def freeze_relay_in_fetch(stage: Stage, rng: Random) -> bool:
    """Freeze a leading relay between fetch and produce, until a second one has taken over; then continue it."""
    service = rng.choice(SERVICES)
    with stage.beside(f"{service}.relay", 2):
        reached = _arrived(stage, service, "relay.fetched", "stop")
        stage.hold(STALE_SECONDS)
        stage.freeze(f"{service}.relay", signal.SIGCONT)
        stage.hold(1)
    return reached


def freeze_before_commit(stage: Stage, rng: Random) -> bool:
    """Freeze a program that has taken positions in the outbox and not committed them, while others continue."""
    service = rng.choice(("order", "inventory", "payment"))
    reached = _arrived(stage, service, "unit_of_work.appended", "stop")
    stage.hold(1.5)
    for kind in ("web", "consumer", "worker"):
        stage.freeze(f"{service}.{kind}", signal.SIGCONT)
    return reached


def end_backends(stage: Stage, rng: Random) -> bool:
    service = rng.choice(SERVICES)
    ended = 0
    for _ in range(12):
        with suppress(psycopg.Error), stage.superuser() as session:
            query = "SELECT pid FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
            found = session.execute(query, [service]).fetchall()
            if found:
                session.execute("SELECT pg_terminate_backend(%s)", rng.choice(found))
                ended += 1
        stage.hold(0.5)
    return ended > 0


def idle_connections(stage: Stage, _rng: Random) -> bool:
    with ExitStack() as idle:
        opened = 0
        with suppress(psycopg.Error):
            for _ in range(IDLE):
                idle.enter_context(stage.superuser())
                opened += 1
        stage.hold(3)
    return opened == IDLE


def rebalance(stage: Stage, rng: Random) -> bool:
    name = f"{rng.choice(SERVICES)}.consumer"
    with stage.beside(name, 2) as second:
        stage.hold(2)
        with stage.beside(name, 3):
            stage.hold(4)
            second.send_signal(signal.SIGTERM)
            stage.hold(2)
    return True


def outstay_the_poll(stage: Stage, rng: Random) -> bool:
    """Keep a consumer in one batch for longer than it may stay away, while it goes on sending heartbeats."""
    with stage.superuser(rng.choice(SERVICES)) as session, session.transaction():
        session.execute("LOCK TABLE received IN ACCESS EXCLUSIVE MODE")
        stage.hold(MAX_POLL_SECONDS + 5)
    return True


def cut_one(stage: Stage, rng: Random) -> bool:
    links = stage.proxy
    name = rng.choice(list(links.ports))
    links.cut(name)
    stage.hold(3)
    links.restore(name)
    return True


def cut_all(stage: Stage, rng: Random) -> bool:
    """Cut every link, one after the other, and restore them in another order."""
    links = stage.proxy
    names = list(links.ports)
    for name in rng.sample(names, len(names)):
        links.cut(name)
        stage.hold(0.5)
    for name in rng.sample(names, len(names)):
        links.restore(name)
        stage.hold(0.5)
    return True


def slow(stage: Stage, rng: Random) -> bool:
    with stage.proxy.spoilt(rng.choice(list(stage.proxy.ports)), "latency", latency=300, jitter=200):
        stage.hold(5)
    return True


def starve(stage: Stage, rng: Random) -> bool:
    """Let a link carry nothing, and keep its connections open."""
    with stage.proxy.spoilt(rng.choice(list(stage.proxy.ports)), "timeout", timeout=0):
        stage.hold(5)
    return True


def provider_silent(stage: Stage, _rng: Random) -> bool:
    with stage.proxy.spoilt("provider", "timeout", timeout=0):
        stage.hold(5)
    return True


def provider_answers_lost(stage: Stage, _rng: Random) -> bool:
    """Let every request reach the provider, and no answer come back."""
    with stage.proxy.spoilt("provider", "limit_data", bytes=1):
        stage.hold(4)
    return True


def provider_errors(stage: Stage, _rng: Random) -> bool:
    with answering_500() as port:
        stage.proxy.lead("provider", port)
        stage.hold(4)
        stage.proxy.lead("provider", stage.proxy.targets["provider"])
    return True


@contextmanager
def answering_500() -> Iterator[int]:
    """Serve 500 to everybody, on the port that is yielded."""

    class Errors(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(500)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_GET = do_POST  # noqa: N815 - the same

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Errors)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def jump_clock(stage: Stage, rng: Random) -> bool:
    """Set one service's clock two hours ahead, and then back."""
    service = rng.choice(SERVICES)
    stage.clock.set(JUMP_SECONDS, service)
    stage.hold(4)
    stage.clock.set(0, service)
    stage.hold(2)
    return True


def fill_disk(stage: Stage, _rng: Random) -> bool:
    stage.disk.fill()
    stage.hold(5)
    full = False
    # Whatever else is wrong with the server does not show that the disk is full.
    with suppress(psycopg.Error), stage.superuser(disk.SERVICE) as session:
        stage.disk.fill()
        try:
            session.execute("CREATE TABLE too_much AS SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
            session.execute("DROP TABLE too_much")
        except psycopg.errors.DiskFull:
            full = True
    stage.disk.free()
    return full


def catalogue() -> list[Fault]:
    """Return every fault."""
    found: list[Fault] = []
    for kind in KINDS:
        shakes = kind == "postgres"
        found.append(Fault(f"kill -9 {kind}", 4, partial(kill, kind), shakes_database=shakes))
        for seconds in (1, 20, MAX_POLL_SECONDS + 5):
            freezing = partial(freeze, kind, seconds)
            found.append(Fault(f"freeze {kind} {seconds} s", seconds + 0.5, freezing, shakes_database=shakes))
    found += [Fault(f"kill -9 at {point}", 3, partial(kill_at, point, services)) for point, services in POINTS]
    found += [
        Fault("freeze relay in its fetch", STALE_SECONDS + 3, freeze_relay_in_fetch),
        Fault("freeze before commit", 3, freeze_before_commit),
        Fault("PostgreSQL immediate restart", 3, partial(restart, "postgres", signal.SIGQUIT), shakes_database=True),
        Fault("Kafka restart", 5, partial(restart, "kafka", signal.SIGTERM)),
        Fault("backends ended twice a second", 6.5, end_backends, shakes_database=True),
        Fault("300 idle connections", 7, idle_connections, shakes_database=True),
        Fault("consumers join and leave", 9, rebalance),
        Fault("a batch longer than the poll interval", MAX_POLL_SECONDS + 5, outstay_the_poll),
        Fault("a link cut", 3, cut_one, "links", shakes_database=True),
        Fault("all links cut one by one", 7.5, cut_all, "links", shakes_database=True),
        Fault("a link slow", 5, slow, "links", shakes_database=True),
        Fault("a link starved", 5, starve, "links", shakes_database=True),
        Fault("provider silent", 5, provider_silent, "links"),
        Fault("provider's answers lost", 4, provider_answers_lost, "links"),
        Fault("provider answers 500", 4, provider_errors, "links"),
        Fault("a service's clock jumps", 6, jump_clock, "clock"),
        Fault("a full disk", 6, fill_disk, "disk"),
        Fault("arbitrary records", 10, remedied.arbitrary_records),
        Fault("retention passed", 15, remedied.pass_retention),
        Fault("a database restored", 20, remedied.restore_database),
        Fault("rights lost", remedied.SECONDS + 3, remedied.lose_rights, shakes_database=True),
        Fault("led to a standby", remedied.SECONDS + 6, remedied.lead_to_standby, "links", shakes_database=True),
    ]
    return found
