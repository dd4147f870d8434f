"""The verbs that look and write nothing: `plan`, `verify`, `status`."""

from waybill.migrate.command.parsing import Verbs, seconds
from waybill.migrate.command.project import DONE, FOUND, Project, other_url, rows


def add(verbs: Verbs) -> None:
    """Add the verbs."""
    verbs.add(
        "plan", _plan, "List what cannot be mapped, by table and column, and the rows that are refused. Writes nothing."
    )
    checking = verbs.add("verify", _verify, "Compare the mapped rows with those of the service.")
    checking.add_argument("--settle-seconds", type=seconds, default=30.0, help="how long a difference may last")
    verbs.add("status", _status, "Show who owns, capture, queue, backfill, and the keys that are held.")


def _plan(project: Project) -> int:
    from waybill.migrate import plan, screen

    found = False
    for aggregate in project.chosen:
        progress = screen.Progress(f"{aggregate.name}: rows read")
        made = plan.plan(aggregate, project.mapped.namespace, project.using, progress)
        progress.end()
        found = found or bool(made.findings)
        screen.put_plan(made, as_json=project.given.json)
    return FOUND if found else DONE


def _verify(project: Project) -> int:
    from waybill.migrate import screen, verify

    found = False
    for aggregate in project.chosen:
        url = other_url(aggregate)
        progress = screen.Progress(f"{aggregate.name}: rows compared")
        expected = rows(project, aggregate.table)
        with verify.connected(url) as there:
            sides = verify.Sides(project.built(aggregate), project.using, there)
            verified = verify.verify(
                sides, settle_seconds=project.given.settle_seconds, told=progress, expected=expected
            )
        progress.end()
        found = found or bool(verified.differences)
        screen.put_verified(verified, as_json=project.given.json)
    return FOUND if found else DONE


def _status(project: Project) -> int:
    from waybill.migrate import screen, status

    is_well = True
    for aggregate in project.chosen:
        one = status.status(aggregate, project.using)
        is_well = is_well and one.is_well
        screen.put_status(one, as_json=project.given.json)
    return DONE if is_well else FOUND
