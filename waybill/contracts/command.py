"""`python -m waybill contracts`: the steps from an `.avsc` file to a topic that others can read."""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Final

from waybill.application import ApplicationUnknown, application
from waybill.contracts.contracts import Contract, load
from waybill.contracts.fields import ContractError
from waybill.registry.reach import Unreachable

# Each step imports its own module when it runs: Kafka, HTTP and PostgreSQL clients together take half a second.

_OK: Final = 0
_MISMATCH: Final = 1
_USAGE: Final = 2
_DEPENDENCY_DOWN: Final = 4

_EPILOG: Final = """\
The folder of the schemas and the module of the classes: [tool.waybill] in pyproject.toml, or Django's setting WAYBILL.
To add an event: write <schemas>/<topic>/<Event>.v1.avsc, then `generate`, `release`, `check`.
To change one:   copy it to <Event>.v2.avsc, add fields with a default there, then the same.
                 Never edit a file that is released: what was written with it must stay readable.
                 docs/contracts.md has every kind of change.
To deploy:       `topics`, then `register`, then the new programs.
To read another project's events: `pull` its topics, then `generate`, `release`, `register`.
A lost registry: `restore`, while the new one is empty, then `register`.

exit codes: 0 done, 1 a contract is broken, a generated file is stale or a topic differs (--check), 2 usage,
            4 a dependency is not reachable
"""


class _Usage(Exception):
    """The command cannot run as it was called."""


def main(arguments: list[str] | None = None, *, program: str = "python -m waybill contracts") -> int:
    """Run one step and give its exit code; raises SystemExit(2) on unknown arguments, as argparse does."""
    chosen = _parser(program).parse_args(arguments)
    try:
        return int(chosen.step(chosen))
    except _Usage as error:
        return _fail(error, _USAGE)
    except (ContractError, ApplicationUnknown) as error:
        return _fail(error, _MISMATCH)
    except Unreachable as error:
        return _fail(error, _DEPENDENCY_DOWN)
    except KeyboardInterrupt:
        return 130


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="The contracts: .avsc files are the source, classes, topics and registry follow from them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    generate = steps.add_parser("generate", help="write the event classes, and their page where one is wanted")
    generate.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    generate.set_defaults(step=_generate)
    check = steps.add_parser("check", help="prove offline that each version reads each, and that none was changed")
    check.set_defaults(step=_check)
    release = steps.add_parser("release", help="list the new versions as released, after which they never change")
    release.set_defaults(step=_release)
    topics = steps.add_parser(
        "topics",
        help="create the missing topics, and tell how the others differ from what is meant (WAYBILL_KAFKA_BOOTSTRAP)",
    )
    topics.add_argument("--check", action="store_true", help="create nothing; exit 1 when one is missing or differs")
    topics.set_defaults(step=_topics)
    register = steps.add_parser(
        "register",
        help="register the schemas and keep their ids (WAYBILL_REGISTRY_URL and more, WAYBILL_OWNER_DATABASE_URLS)",
    )
    register.add_argument(
        "--new-ids", action="store_true", help="let events get other ids than those kept, which stay readable"
    )
    register.set_defaults(step=_register)
    restore = steps.add_parser(
        "restore",
        help="give an empty registry the schemas back, with the ids that the databases keep (settings as for register)",
    )
    restore.set_defaults(step=_restore)
    pull = steps.add_parser(
        "pull", help="copy the schemas of another project's topics from the registry (WAYBILL_REGISTRY_URL and more)"
    )
    pull.add_argument("topics", nargs="+", metavar="TOPIC", help="such as bookings.events.v1")
    pull.set_defaults(step=_pull)
    for waiting in (topics, register, restore, pull):
        waiting.add_argument(
            "--wait",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long to wait for a part that is still starting (default: %(default)g)",
        )
    return parser


def _generate(chosen: argparse.Namespace) -> int:
    from waybill.contracts import generate

    stale = generate.stale()
    if chosen.check:
        for path in stale:
            _say_error(f"{path.name} is stale; run `python -m waybill contracts generate` and commit what it writes")
        return _MISMATCH if stale else _OK
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        _say(f"{path.name}: written")
    if not stale:
        _say("everything is fresh")
    return _OK


def _check(_: argparse.Namespace) -> int:
    from waybill.contracts import compatibility, released

    contracts = load()
    problems = [*compatibility.problems(contracts), *released.problems(contracts)]
    for problem in problems:
        _say_error(problem)
    if not problems:
        _say(f"{len(contracts)} schemas: every version can be read by every other, and none was changed")
    return _MISMATCH if problems else _OK


def _release(_: argparse.Namespace) -> int:
    from waybill.contracts import compatibility, released

    contracts = load()
    problems = list(compatibility.problems(contracts))
    for problem in problems:
        _say_error(problem)
    if problems:
        return _MISMATCH
    added = released.release(contracts)
    _say(*([f"{source}: released" for source in added] or ["every version is released already"]))
    return _OK


def _topics(chosen: argparse.Namespace) -> int:
    from waybill.contracts.topics import Copies, topics
    from waybill.kafka import create_topics

    copies = Copies(replication=_number("WAYBILL_TOPICS_REPLICATION"), min_insync=_number("WAYBILL_TOPICS_MIN_INSYNC"))
    if copies.replication and copies.min_insync and copies.min_insync > copies.replication:
        raise _Usage(f"WAYBILL_TOPICS_MIN_INSYNC={copies.min_insync} is more than there are replicas")
    try:
        outcomes = create_topics.create_missing(
            topics(),
            _variable("WAYBILL_KAFKA_BOOTSTRAP"),
            chosen.wait,
            os.environ.get("WAYBILL_KAFKA_PROPERTIES_FILE"),
            copies=copies,
            check_only=chosen.check,
        )
    except (create_topics.TopicRefused, ValueError) as error:
        return _fail(error, _MISMATCH)
    _say(*(outcome.says for outcome in outcomes))
    differences = [line for outcome in outcomes for line in outcome.differences]
    for line in differences:
        _say_error(line)
    return _MISMATCH if differences and chosen.check else _OK


def _register(chosen: argparse.Namespace) -> int:
    from waybill.registry import register

    return _with_registry(partial(register.register, new_ids=chosen.new_ids), chosen.wait)


def _restore(chosen: argparse.Namespace) -> int:
    from waybill.registry import restore

    return _with_registry(restore.restore, chosen.wait)


def _pull(chosen: argparse.Namespace) -> int:
    from waybill.registry import pull
    from waybill.registry.registry import RegistrationRefused

    folder = application().schemas
    try:
        _say(*pull.pull(chosen.topics, _variable("WAYBILL_REGISTRY_URL"), folder, chosen.wait))
    except (RegistrationRefused, OSError) as error:
        return _fail(error, _MISMATCH)
    _say("then: `generate`, `release`, `register`")
    return _OK


def _with_registry(step: Callable[[list[Contract], str, list[str], float], list[str]], wait_seconds: float) -> int:
    from waybill.registry.registry import RegistrationRefused

    urls = [url.strip() for url in _variable("WAYBILL_OWNER_DATABASE_URLS").split(",") if url.strip()]
    try:
        _say(*step(load(), _variable("WAYBILL_REGISTRY_URL"), urls, wait_seconds))
    except RegistrationRefused as error:
        return _fail(error, _MISMATCH)
    return _OK


def _variable(name: str) -> str:
    from waybill.secret_settings import secret_of

    try:
        value = secret_of(name)
    except ValueError as error:
        raise _Usage(str(error)) from None
    if value and value.strip():
        return value.strip()
    raise _Usage(f"{name} is not set; `python -m waybill contracts --help` names what each step needs")


def _number(name: str) -> int | None:
    value = os.environ.get(name, "").strip()
    if not value:
        return None
    if not value.isdecimal() or not 0 < int(value) < 2**15:
        raise _Usage(f"{name} is {value!r}; it is a number of brokers from 1 on, or unset for the broker's own")
    return int(value)


def _fail(error: Exception, code: int) -> int:
    _say_error(str(error))
    return code


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _say_error(line: str) -> None:
    sys.stderr.write(f"contracts: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
