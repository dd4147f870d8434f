"""How each outbox does: what waits, how fast events come, which programs run, and what operators left behind."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row

from outbox_relay.operations import attention, names, relay_login
from outbox_relay.operations.names import ServiceName
from outbox_relay.operations.parts import publishes
from outbox_relay.operations.topics import missing
from waybill.consumer.gap import Gap, summary
from waybill.observability.program_state import SILENT_SECONDS

# What waits lies above the cursor or in one of its gaps; private events wait for nobody. The rate looks at the newest
# rows only, whatever the size of the log: where all of them are younger than a minute, it is that of their own time.
STATUS: Final = """
WITH waiting AS (
    SELECT recorded_at FROM waybill_outbox, waybill_outbox_cursor AS cursor
    WHERE topic IS NOT NULL AND waybill_outbox.position > cursor.position
    UNION ALL
    SELECT recorded_at FROM waybill_outbox_cursor AS cursor
    CROSS JOIN generate_series(1, cardinality(cursor.missing), 2) AS n
    JOIN waybill_outbox ON waybill_outbox.position BETWEEN cursor.missing[n] AND cursor.missing[n + 1]
    WHERE topic IS NOT NULL
), fresh AS (
    SELECT count(*) AS events, date_part('epoch', clock_timestamp() - min(recorded_at)) AS seconds
    FROM (SELECT recorded_at FROM waybill_outbox ORDER BY position DESC LIMIT %(newest)s) AS newest
    WHERE recorded_at > clock_timestamp() - interval '1 minute'
)
SELECT %(service)s::text AS service,
       (SELECT count(*) FROM waiting) AS unpublished,
       (SELECT round(date_part('epoch', clock_timestamp() - min(recorded_at))::numeric, 3)::float FROM waiting)
           AS oldest_seconds,
       (SELECT round((events / CASE WHEN events = %(newest)s THEN greatest(seconds, 0.001) ELSE 60 END)::numeric,
                     2)::float FROM fresh) AS events_a_second,
       cursor.position,
       coalesce((SELECT max(waybill_outbox.position) FROM waybill_outbox), 0) AS last,
       cursor.missing,
       (SELECT count(*) FROM published WHERE status <> 2) AS dead_letter_publications,
       (SELECT count(*) FROM received WHERE status = -1) AS dead_letter_messages,
       (SELECT count(*) FROM waybill_replay_job WHERE finished_at IS NULL)
           + (SELECT count(*) FROM waybill_redrive_job WHERE finished_at IS NULL) AS jobs,
       cursor.leader,
       round(date_part('epoch', clock_timestamp() - cursor.heartbeat_at)::numeric, 3)::float AS heartbeat_seconds,
       NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off' AS takes_writes,
       (SELECT json_agg(json_build_object(
            'program', program, 'instance', instance, 'state', state, 'reason', reason,
            'state_seconds', round(date_part('epoch', clock_timestamp() - since)::numeric, 1),
            'heartbeat_seconds',
            round(date_part('epoch', clock_timestamp() - waybill_program_state.heartbeat_at)::numeric, 1),
            'running_seconds', round(date_part('epoch', clock_timestamp() - started_at)::numeric, 1)
        ) ORDER BY program, instance) FROM waybill_program_state) AS programs,
       pause.paused_by, pause.reason AS paused_for, pause.paused_at AS paused_since
FROM waybill_outbox_cursor AS cursor LEFT JOIN waybill_relay_pause AS pause ON true
"""
NEWEST: Final = 10_000  # events of the last minute that are counted; with more, their rate is that of these
READ_ONLY: Final = "the database takes no writes: it is a standby, or default_transaction_read_only is on"


@dataclass(frozen=True, slots=True)
class ProgramState:
    """What one program last said of itself; ages in seconds.

    `running_seconds`: since it started; `heartbeat_seconds`: since it said so.
    """

    program: str
    instance: str
    state: str
    reason: str | None
    state_seconds: float
    heartbeat_seconds: float
    running_seconds: float

    @property
    def silent(self) -> bool:
        """Tell whether it has missed its heartbeats."""
        return self.state != "stopped" and self.heartbeat_seconds > SILENT_SECONDS

    @property
    def fault(self) -> str | None:
        """Return what is wrong with it; None where it does its work or stands by."""
        if self.silent:
            said = f"; it waited: {self.reason}" if self.reason else ""
            return f"{self.program} {self.instance} is silent: no heartbeat for {self.heartbeat_seconds:.0f} s{said}"
        if self.reason:
            return f"{self.program} {self.instance} has waited for {self.state_seconds:.0f} s: {self.reason}"
        return None


def expected(programs: Sequence[ProgramState]) -> list[ProgramState]:
    """Leave out who was told to stop, and each silent one that another of its kind replaced by starting later."""
    free = sorted(programs, key=lambda one: -one.running_seconds)
    replaced: set[ProgramState] = set()
    for silent in sorted((one for one in programs if one.silent), key=lambda one: -one.heartbeat_seconds):
        later = (one for one in free if one.program == silent.program)
        successor = next((one for one in later if one.running_seconds < silent.heartbeat_seconds), None)
        if successor is not None:
            free.remove(successor)
            replaced.add(silent)
    return [one for one in programs if one not in replaced and one.state != "stopped"]


@dataclass(frozen=True, slots=True)
class Status:
    """One outbox; ages in seconds, `events_a_second` over the last minute, `jobs` those not finished.

    `group`: its consumer group, where the service has recorded its name; `handles_only`: it has never appended, and is
    a project that only handles the events of others, or no relay's role may publish for it; `attention`: due rows that
    need an operator's; `relay_login`: what keeps relays out, where none has a session; `missing_records`: what the
    service's consumer never saw.
    """

    service: str
    group: str | None
    handles_only: bool
    unpublished: int
    oldest_seconds: float | None
    events_a_second: float
    position: int
    last: int
    missing: list[int]
    dead_letter_publications: int
    dead_letter_messages: int
    jobs: int
    attention: int
    leader: str | None
    heartbeat_seconds: float | None
    takes_writes: bool
    programs: list[ProgramState]
    missing_records: list[Gap]
    paused_by: str | None
    paused_for: str | None
    paused_since: datetime | None
    relay_login: str | None = None

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """Return first and last position of each gap below the cursor."""
        return list(zip(self.missing[::2], self.missing[1::2], strict=True))

    @property
    def no_relay(self) -> str | None:
        """Return since when no relay has a session in the database; None where one has, or none is needed."""
        if self.handles_only:
            return None
        relays = sorted((one for one in self.programs if one.program == "relay"), key=lambda one: one.heartbeat_seconds)
        ages = [one.heartbeat_seconds for one in relays]
        if self.heartbeat_seconds is not None:
            ages.append(self.heartbeat_seconds)
        if not ages:
            return "no relay has ever had a session"
        youngest = min(ages)
        if youngest <= SILENT_SECONDS:
            return None
        said = f"; {relays[0].instance} waited: {relays[0].reason}" if relays and relays[0].reason else ""
        return f"no relay has a heartbeat younger than {SILENT_SECONDS:.0f} s; last one {youngest:.0f} s ago{said}"

    @property
    def faults(self) -> list[str]:
        """Return what is wrong with the database and with the programs that were there."""
        no_relay = f"{self.no_relay}: {self.relay_login}" if self.no_relay else None
        common = [READ_ONLY if not self.takes_writes else None, no_relay]
        common += [summary(self.missing_records, self.group or self.service)] if self.missing_records else []
        programs = [one.fault for one in self.programs if not (self.no_relay and one.program == "relay")]
        return [fault for fault in (*common, *programs) if fault]

    @property
    def paused(self) -> str | None:
        """Return by whom, since when and why the relay is paused; None while it is not."""
        if self.paused_since is None:
            return None
        return f"by {self.paused_by} since {self.paused_since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}: {self.paused_for}"

    def shown(self) -> dict[str, Any]:
        """Return it for JSON."""
        programs = [asdict(one) | {"silent": one.silent} for one in self.programs]
        gone = [missing.shown(gap) for gap in self.missing_records]
        return asdict(self) | {
            "gaps": self.gaps,
            "programs": programs,
            "missing_records": gone,
            "faults": self.faults,
        }


def read_status(service: str, connection: psycopg.Connection) -> Status:
    """Return how the service's outbox does. Raises psycopg.Error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(STATUS, {"service": service, "newest": NEWEST}).fetchone()
    if found is None:
        raise psycopg.DataError("outbox_cursor has no row; run: python -m waybill SERVICE migrate")
    states = [ProgramState(**one) for one in found.pop("programs") or ()]
    name = _name(service, connection)
    read = Status(
        **found,
        group=name and name.group,
        handles_only=not found["last"] and (bool(name and name.settings_module) or not publishes(connection)),
        attention=attention.count(connection),
        programs=expected(states),
        missing_records=missing.open_gaps(connection),
    )
    return replace(read, relay_login=relay_login.explain(connection)) if read.no_relay else read


def _name(service: str, connection: psycopg.Connection) -> ServiceName | None:
    try:
        return names.recorded(service, connection)
    except (psycopg.OperationalError, psycopg.ProgrammingError):  # what needs the name says that it is not there
        return None
