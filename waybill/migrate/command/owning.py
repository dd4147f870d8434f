"""The verbs that say who owns the rows: `receive`, `cutover`, `cutback`, `finish`."""

import getpass
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

from waybill.migrate.command.parsing import Verbs, positive, seconds
from waybill.migrate.command.project import DEPENDENCY_DOWN, DONE, FOUND, Project, other_url, rows

RETRY_SECONDS: Final = 2.0


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    receiving = verbs.add("receive", _receive, "Refuse writes but those that are applied of the owner's events.")
    receiving.add_argument("state", choices=["on", "off"])
    texts = {
        "cutover": "Hand the ownership of the rows to the service.",
        "cutback": "Hand the ownership back, from the service's folder.",
    }
    for verb, text in texts.items():
        handing = verbs.add(verb, _hand_over, text)
        handing.set_defaults(verb=verb)
        handing.add_argument("--hold-seconds", type=positive, default=3.0, help="how long writes may wait (default: 3)")
        handing.add_argument("--settle-seconds", type=seconds, default=30.0, help="how long a difference may last")
        handing.add_argument("--gateway", metavar="FOLDER", help="the folder of the gateway that holds writes")
        handing.add_argument(
            "--route", metavar="NAME", help="ROUTE or ROUTE/RULE: wait until nothing is in flight there"
        )
        handing.add_argument("--reason", default="", metavar="TEXT", help="for the record")
    finishing = verbs.add("finish", _finish, "End the move on the side that gave the rows up. There is no way back.")
    finishing.add_argument("--reason", default="", metavar="TEXT", help="for the record")


def _receive(project: Project) -> int:
    from waybill.migrate import screen
    from waybill.migrate.ownership import receiving

    is_on = project.given.state == "on"
    for aggregate in project.chosen:
        if is_on:
            project.built(aggregate)  # refuses what could not be handed back
        (receiving.turn_on if is_on else receiving.turn_off)(aggregate, project.using, _said(project, "receive"))
        what = "takes only what is applied" if is_on else "is an ordinary table again"
        line = {"kind": "receive", "aggregate": aggregate.name, "on": is_on}
        screen.put(line, f"{aggregate.name}: {aggregate.table} {what}", as_json=project.given.json)
    return DONE


def _hand_over(project: Project) -> int:
    from waybill.migrate import screen
    from waybill.migrate.ownership import handover, moving
    from waybill.runtime.signals import stop_requested

    given, stopping = project.given, stop_requested()
    terms = handover.Terms(
        hold_seconds=given.hold_seconds, settle_seconds=given.settle_seconds, in_flight=_in_flight(project)
    )
    for aggregate in project.chosen:
        progress = screen.Progress(f"{aggregate.name}: rows compared")
        try:
            done = moving.hand_over(
                project.built(aggregate), project.using, other_url(aggregate), terms, _said(project, given.verb),
                is_stopping=stopping.is_set, told=progress, expected=rows(project, aggregate.table),
            )  # fmt: skip
        except handover.GivenUp as error:
            progress.end()
            screen.put_given_up(aggregate.name, given.verb, error, as_json=given.json)
            return FOUND
        except moving.NotCompleted as error:
            screen.tell(str(error))
            return DEPENDENCY_DOWN
        progress.end()
        screen.put_handed_over(done, given.verb, as_json=given.json)
    return DONE


def _in_flight(project: Project) -> Callable[[], int] | None:
    from waybill.migrate.mapping.document import MappingError

    folder, route = project.given.gateway, project.given.route
    if folder is None and route is None:
        return None
    if folder is None or route is None:
        raise MappingError("--gateway and --route go together")
    return partial(_counted, Path(folder), route)


def _counted(folder: Path, route: str) -> int:
    from waybill.gateway.moving.in_flight import in_flight
    from waybill.gateway.moving.moves import NotPossible
    from waybill.gateway.moving.watching import NotWatchable
    from waybill.migrate.ownership.handover import GivenUp

    try:
        return in_flight(folder, route)
    except (NotPossible, NotWatchable) as error:
        raise GivenUp(str(error)) from error


def _finish(project: Project) -> int:
    from waybill.migrate import screen
    from waybill.migrate.ownership import finishing

    for aggregate in project.chosen:
        done = finishing.finish(aggregate, project.using, other_url(aggregate), _said(project, "finish"))
        also = f"; first see to what refers to them: {', '.join(done.referring)}" if done.referring else ""
        text = f"{done.aggregate}: finished; these tables may be dropped: {', '.join(done.tables)}{also}"
        screen.put({"kind": "finish", **asdict(done)}, text, as_json=project.given.json)
    return DONE


def _said(project: Project, verb: str) -> Any:
    from waybill.migrate.ownership.rows import Said

    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in a container
        by = f"uid {os.getuid()}"
    return Said(verb=f"{verb} {project.given.state}" if verb == "receive" else verb, by=by, reason=_reason(project))


def _reason(project: Project) -> str:
    return getattr(project.given, "reason", "")


class Completing:
    """What `run` does beside its work: complete handovers whose command was killed."""

    def __init__(self, project: Project, mapped: dict[str, Any]) -> None:
        """Look at once."""
        self._project, self._mapped, self._due_at = project, mapped, 0.0

    def look(self) -> None:
        """Complete what was given up here; at most every two seconds. Raises what this side's database raises."""
        from waybill.migrate import screen
        from waybill.migrate.mapping.document import MappingError
        from waybill.migrate.ownership import completing, moving

        if time.monotonic() < self._due_at:
            return
        for source, epoch in completing.left_behind(self._project.using, list(self._mapped)).items():
            built = self._mapped[source]
            try:
                moving.complete(built, self._project.using, other_url(built.aggregate), seconds=RETRY_SECONDS)
                screen.tell(f"{source}: the handover to epoch {epoch} is completed")
            except (moving.NotCompleted, MappingError) as error:
                screen.tell(str(error))
        self._due_at = time.monotonic() + RETRY_SECONDS
