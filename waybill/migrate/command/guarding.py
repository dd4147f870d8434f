"""The verb that the gateway asks: `gate`."""

from waybill.migrate.command.parsing import Verbs, positive
from waybill.migrate.command.project import DONE, Project


def add(verbs: Verbs) -> None:
    """Add the verb."""
    gate = verbs.add(
        "gate", _gate, "Tell the gateway which side owns, and hold writes while that changes; until SIGTERM or SIGINT."
    )
    gate.add_argument("--host", default="127.0.0.1", help="address that it answers the gateway on")
    gate.add_argument("--port", type=int, default=8000, help="its port (default: %(default)s)")
    gate.add_argument(
        "--health-port", type=int, default=9000, help="port of /livez, /readyz and /metrics (default: %(default)s)"
    )
    gate.add_argument(
        "--wait-seconds",
        type=positive,
        default=10.0,
        metavar="N",
        help="longest that a request is held; then 503 (default: %(default)g)",
    )


def _gate(project: Project) -> int:
    from django.db import connections

    from waybill.database.urls import url_of
    from waybill.migrate.gate import program

    given = project.given
    names = [aggregate.name for aggregate in project.chosen]
    url = url_of(connections[project.using].settings_dict)
    program.run(url, names, (given.host, given.port), given.health_port, given.wait_seconds)
    return DONE
