"""`python -m waybill gateway`: compile the documents, and run Envoy on them."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from waybill.gateway import generations
from waybill.gateway.compiler import Configuration, compiled
from waybill.gateway.documents.document import Refused, read
from waybill.gateway.envoy import program as envoy
from waybill.gateway.site import Site

_OK: Final = 0
_REFUSED: Final = 1
MOVING: Final = {
    "status": "tell where each route leads, and what is under way",
    "shift": "move requests of a route to a service, watch them, go back past a limit",
    "rollback": "take back the last move of a route",
}
_EPILOG: Final = "exit codes: 0 done, 1 a document is refused or a file is stale (--check), 2 usage"


def main(arguments: Sequence[str], *, program: str = "python -m waybill gateway") -> int:
    """Run one verb and return its exit code; raises SystemExit(2) on unknown arguments, as argparse does."""
    if arguments[:1] and arguments[0] in MOVING:
        from waybill.gateway.moving.verbs import main as moving

        return moving(arguments)
    chosen = parser(program).parse_args(arguments)
    try:
        return int(chosen.verb(chosen))
    except (Refused, OSError) as error:
        sys.stderr.write(f"gateway: {error}\n")
        return _REFUSED


def parser(program: str) -> argparse.ArgumentParser:
    """Return the command line's shape."""
    top = argparse.ArgumentParser(prog=program, description=(__doc__ or "").splitlines()[0], epilog=_EPILOG)
    verbs = top.add_subparsers(title="verbs", required=True, metavar="VERB")
    make = verbs.add_parser("compile", help="write Envoy's configuration of the documents, or say what is wrong")
    make.add_argument("documents", type=Path, help="the folder with the *.yaml files")
    make.add_argument("--site", type=Path, required=True, help="YAML: addresses, listeners, keys, certificates")
    make.add_argument("--to", type=Path, metavar="FOLDER", help="write it there; without it nothing is written")
    make.add_argument("--at", type=Path, metavar="FOLDER", help="where Envoy will find it (default: there)")
    make.add_argument("--check", action="store_true", help="exit 1 where what stands in FOLDER is something else")
    make.add_argument("--validate", action="store_true", help="have Envoy read it too")
    make.set_defaults(verb=_compile, usage=make.error)
    serve = verbs.add_parser("serve", help="run Envoy on the documents; goes on with the last generation of FOLDER")
    serve.add_argument("documents", type=Path, help="the folder with the *.yaml files")
    serve.add_argument("--site", type=Path, required=True, help="YAML: addresses, listeners, keys, certificates")
    serve.add_argument("--folder", type=Path, required=True, help="where generations are kept, and Envoy watches")
    serve.set_defaults(verb=_serve)
    publish = verbs.add_parser("publish", help="make other documents the current generation, while Envoy runs")
    publish.add_argument("documents", type=Path, help="the folder with the *.yaml files")
    publish.add_argument("--folder", type=Path, required=True, help="the folder of `serve`; its site stays")
    publish.add_argument("--reason", required=True, help="why, for those who read it later")
    publish.add_argument("--by", metavar="NAME", default=getpass.getuser(), help="who (default: the login)")
    publish.set_defaults(verb=_publish)
    for name, does in MOVING.items():
        verbs.add_parser(name, help=does, add_help=False)  # they have arguments and exit codes of their own
    return top


def _compile(chosen: argparse.Namespace) -> int:
    if chosen.check and not chosen.to:
        chosen.usage("--check compares with what stands in --to FOLDER")
    folder = chosen.at or (chosen.to or Path()).absolute()
    made = compiled(read(chosen.documents), Site.load(chosen.site), folder)
    if chosen.validate:
        envoy.validate(made)
    if chosen.to and chosen.check:
        for name, text in files(made).items():
            if not (chosen.to / name).exists() or (chosen.to / name).read_text() != text:
                raise Refused(f"{chosen.to / name} is not what the documents say; compile again")
    elif chosen.to:
        for name, text in files(made).items():
            (chosen.to / name).parent.mkdir(parents=True, exist_ok=True)
            (chosen.to / name).write_text(text)
    return _OK


def files(made: Configuration) -> dict[str, str]:
    """Return every file of a configuration by its path: what Envoy is started with, and what it watches."""
    return {"envoy.json": made.bootstrap()} | {f"current/{name}": text for name, text in made.files("1").items()}


def _publish(chosen: argparse.Namespace) -> int:
    folder = chosen.folder.absolute()
    with generations.documents_alone(folder):
        made = generations.publish(folder, read(chosen.documents), by=chosen.by, reason=chosen.reason)
    is_applied = envoy.await_applied(Site.load(folder / generations.SITE).admin, made.number)
    does = "Envoy has taken it" if is_applied else "Envoy does not answer: it takes it when it starts"
    sys.stdout.write(f"generation {made.number}: {does}\n")
    return _OK if is_applied else _REFUSED


def _serve(chosen: argparse.Namespace) -> int:
    folder = chosen.folder.absolute()
    generations.prepare(folder, Site.load(chosen.site), read(chosen.documents))
    envoy.become(folder)
    return _OK
