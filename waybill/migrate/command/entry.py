"""`python -m waybill migrate VERB`: how a project's rows come to a service, step by step.

In the project's folder, with its DJANGO_SETTINGS_MODULE.
"""

import argparse
import os
from collections.abc import Sequence

from waybill.migrate.command import checking, guarding, looking, owning, telling
from waybill.migrate.command.parsing import Verbs
from waybill.migrate.command.project import DEPENDENCY_DOWN, EXITS, INTERRUPTED, USAGE


def main(arguments: Sequence[str]) -> int:
    """Run a verb and return its exit code; raises SystemExit(2) on unknown arguments."""
    given = _parser().parse_args(arguments)
    if not os.environ.get("DJANGO_SETTINGS_MODULE"):
        return _refused("DJANGO_SETTINGS_MODULE names no settings: set it to those of the project")
    import django

    django.setup()
    return _run(given)


def _run(given: argparse.Namespace) -> int:
    from django.db import DatabaseError, InterfaceError
    from psycopg import OperationalError

    from waybill.application import ApplicationUnknown
    from waybill.contracts.fields import ContractError
    from waybill.database.sqlstate import may_succeed_later, one_line
    from waybill.migrate.backfill import CaptureIsOff
    from waybill.migrate.capture import NotMigrated
    from waybill.migrate.mapping.document import MappingError
    from waybill.migrate.ownership.sides import Refused
    from waybill.outbox import AppendRefused

    refusals = (MappingError, NotMigrated, CaptureIsOff, Refused, AppendRefused, ApplicationUnknown, ContractError)
    try:
        return given.run(given)
    except refusals as error:
        return _refused(str(error))
    except (DatabaseError, InterfaceError, OperationalError) as error:
        _refused(one_line(error))
        return DEPENDENCY_DOWN if may_succeed_later(error) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED


def _refused(text: str) -> int:
    from waybill.migrate import screen

    screen.tell(text)
    return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m waybill migrate", description=__doc__, epilog=EXITS)
    verbs = Verbs(parser)
    for module in (checking, looking, telling, owning, guarding):
        module.add(verbs)
    return parser
