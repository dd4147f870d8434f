"""`python -m schemas`: the steps from an `.avsc` file to a topic that others can read."""

import argparse
import os
import sys
from typing import Final

from schemas.contracts import load
from schemas.fields import ContractError
from schemas.reach import Unreachable

# Each step imports its own module when it runs: Kafka, HTTP and PostgreSQL clients together take half a second.

_OK: Final = 0
_MISMATCH: Final = 1
_USAGE: Final = 2
_DEPENDENCY_DOWN: Final = 4

_EPILOG: Final = """\
To add an event: write schemas/<topic>/<Event>.v1.avsc, then `generate`, `check`, `python -m tests.contracts.golden`.
To change one:   copy it to <Event>.v2.avsc, add fields with a default there, then the same.
                 Never edit a file that is deployed: what was written with it must stay readable.
To deploy:       `topics`, then `register`, then the new programs.

exit codes: 0 done, 1 a contract is broken or a generated file is stale, 2 usage, 4 a dependency is not reachable
"""


class _Usage(Exception):
    """The command cannot run as it was called."""


def main(arguments: list[str] | None = None) -> int:
    """Run one step and give its exit code; raises SystemExit(2) on unknown arguments, as argparse does."""
    chosen = _parser().parse_args(arguments)
    try:
        return int(chosen.step(chosen))
    except _Usage as error:
        return _fail(error, _USAGE)
    except ContractError as error:
        return _fail(error, _MISMATCH)
    except Unreachable as error:
        return _fail(error, _DEPENDENCY_DOWN)
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m schemas",
        description="The contracts: .avsc files are the source, classes, topics and registry follow from them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(title="steps", required=True, metavar="STEP")
    generate = steps.add_parser("generate", help="write schemas/events.py and docs/events.md from the .avsc files")
    generate.add_argument("--check", action="store_true", help="write nothing; exit 1 when a file is stale")
    generate.set_defaults(step=_generate)
    check = steps.add_parser("check", help="prove that each version of each event can be read by any other, offline")
    check.set_defaults(step=_check)
    topics = steps.add_parser("topics", help="create the missing topics (WAYBILL_KAFKA_BOOTSTRAP)")
    topics.set_defaults(step=_topics)
    register = steps.add_parser(
        "register",
        help="register the schemas and keep their ids (WAYBILL_REGISTRY_URL and more, WAYBILL_OWNER_DATABASE_URLS)",
    )
    register.set_defaults(step=_register)
    for waiting in (topics, register):
        waiting.add_argument(
            "--wait",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="how long to wait for a part that is still starting (default: %(default)g)",
        )
    return parser


def _generate(chosen: argparse.Namespace) -> int:
    from schemas import generate

    stale = generate.stale()
    if chosen.check:
        for path in stale:
            _say_error(f"{path.name} is stale; run `python -m schemas generate` and commit what it writes")
        return _MISMATCH if stale else _OK
    for path, text in stale.items():
        path.write_text(text, encoding="utf-8")
        _say(f"{path.name}: written")
    if not stale:
        _say("everything is fresh")
    return _OK


def _check(_: argparse.Namespace) -> int:
    from schemas import compatibility

    contracts = load()
    problems = list(compatibility.problems(contracts))
    for problem in problems:
        _say_error(problem)
    if not problems:
        _say(f"{len(contracts)} schemas: every version can be read by every other")
    return _MISMATCH if problems else _OK


def _topics(chosen: argparse.Namespace) -> int:
    from schemas import create_topics

    try:
        properties_file = os.environ.get("WAYBILL_KAFKA_PROPERTIES_FILE")
        lines = create_topics.create_missing(_variable("WAYBILL_KAFKA_BOOTSTRAP"), chosen.wait, properties_file)
    except (create_topics.TopicRefused, ValueError) as error:
        return _fail(error, _MISMATCH)
    _say(*lines)
    return _OK


def _register(chosen: argparse.Namespace) -> int:
    from schemas import register

    urls = [url.strip() for url in _variable("WAYBILL_OWNER_DATABASE_URLS").split(",") if url.strip()]
    try:
        lines = register.register(load(), _variable("WAYBILL_REGISTRY_URL"), urls, chosen.wait)
    except register.RegistrationRefused as error:
        return _fail(error, _MISMATCH)
    _say(*lines)
    return _OK


def _variable(name: str) -> str:
    if value := os.environ.get(name, "").strip():
        return value
    raise _Usage(f"{name} is not set; `python -m schemas --help` names what each step needs")


def _fail(error: Exception, code: int) -> int:
    _say_error(str(error))
    return code


def _say(*lines: str) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)


def _say_error(line: str) -> None:
    sys.stderr.write(f"schemas: {line}\n")


if __name__ == "__main__":
    sys.exit(main())
