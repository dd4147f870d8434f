"""What the programs of two services say of an event that has not come from one to the other.

Each function takes what a service's `status` tells, None where its database failed to, and the hop that stands.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from outbox_relay.operations.sagas.causes import PLACEHOLDER, Cause, Found
from outbox_relay.operations.status import READ_ONLY, ProgramState, Status

USUAL: Final = timedelta(seconds=5)  # from commit to receipt; longer is told as something that stands


class Hop(NamedTuple):
    """An event on its way: its name, what is said of it, since when it is there, and what time it is."""

    event: str
    what: str
    since: datetime
    now: datetime

    @property
    def fresh(self) -> bool:
        """Tell whether it was committed a moment ago."""
        return self.now - self.since < USUAL


def away(service: str, reason: str, event: str | None = None) -> Found:
    """Return that a database does not answer."""
    said = f"the database of {service} does not answer, so nobody can tell: {reason}"
    return Found(Cause.DATABASE_AWAY, service, said, f"outbox status --service {service}", None, event)


def relay_stands(status: Status | None, service: str, hop: Hop) -> Found:
    """Return why an event is not published."""
    ask, what, since = f"outbox status --service {service}", hop.what, hop.since
    if status is None:
        return away(service, "it failed to say how its relay does", hop.event)
    if status.paused:
        said = f"{what}: the relay of {service} is paused {status.paused}"
        resume = f"outbox resume --service {service} {PLACEHOLDER}"
        return Found(Cause.RELAY_PAUSED, service, said, resume, status.paused_since, hop.event)
    if not status.takes_writes:
        return Found(Cause.DATABASE_READ_ONLY, service, f"{what}: {READ_ONLY}", ask, since, hop.event)
    if status.no_relay:
        said = f"{what}: {status.no_relay}: {status.relay_login}"
        return Found(Cause.NO_RELAY, service, said, ask, since, hop.event)
    waits = next((one for one in status.programs if one.program == "relay" and one.reason), None)
    if waits is not None:
        said = f"{what}: the relay of {service} has waited for {waits.state_seconds:.0f} s: {waits.reason}"
        return Found(_waits(waits), service, said, ask, since, hop.event)
    if hop.fresh:
        return Found(Cause.ON_ITS_WAY, service, f"{what} yet, a moment after its commit", ask, since, hop.event)
    said = f"{what} yet, and the relay of {service} works: it is behind"
    return Found(Cause.NOT_PUBLISHED, service, said, ask, since, hop.event)


def consumer_stands(status: Status | None, service: str, topic: str, hop: Hop) -> Found:
    """Return why a service has not received what is published."""
    ask, what, since = f"outbox status --service {service}", f"{hop.what}, and {service} has not received it", hop.since
    if status is None:
        return away(service, "it failed to say how its consumer does", hop.event)
    gap = next((one for one in status.missing_records if one.topic == topic), None)
    if gap is not None:
        remedy = gap.remedy(status.group or service)
        return Found(
            Cause.RECORDS_MISSING, service, f"{what}: its consumer misses {gap}", remedy, gap.found_at, hop.event
        )
    if not status.takes_writes:
        return Found(Cause.DATABASE_READ_ONLY, service, f"{what}: {READ_ONLY}", ask, since, hop.event)
    consumers = [one for one in status.programs if one.program == "consumer"]
    if all(one.silent for one in consumers):
        said = next((one.fault for one in consumers if one.fault), "no consumer runs")
        return Found(Cause.CONSUMER_AWAY, service, f"{what}: {said}", ask, since, hop.event)
    waits = next((one for one in consumers if one.reason and not one.silent), None)
    if waits is not None:
        return Found(_waits(waits), service, f"{what}: {waits.fault}", ask, since, hop.event)
    if hop.fresh:
        return Found(Cause.ON_ITS_WAY, service, f"{hop.what}, and {service} has it in a moment", ask, since, hop.event)
    said = f"{what}: its consumer is behind"
    return Found(Cause.NOT_RECEIVED, service, said, ask, since, hop.event)


def _waits(program: ProgramState) -> Cause:
    return Cause.BROKER_AWAY if (program.reason or "").startswith("broker") else Cause.PROGRAM_WAITS
