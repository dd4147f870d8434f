"""Generations of the gateway's documents, in a folder that Envoy watches.

    site.json  envoy.json         where it stands; what Envoy is started with
    source.yaml                   the documents that it began with
    0001/  0002/  …               a generation: documents.yaml, what was made of it, and moved.json: by whom, and why
    current → 0002                a link. To publish is to rename a new link over it, and so is to go back

The rename is one step: Envoy sees the whole of one generation or the whole of the other. But it takes over clusters and
routes one after the other, and a request fails that is led to a cluster which is not there yet, or no longer. So what
names a new backend is published twice: first its cluster beside the routes that there are, then the routes. And the
clusters that they no longer lead to stay for one generation.

What a generation replaced stands in its moved.json, so that it can be gone back to.
"""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from waybill.gateway.compiler import CURRENT, Configuration, compiled
from waybill.gateway.documents import document as texts
from waybill.gateway.documents.document import Document, Refused
from waybill.gateway.envoy import program as envoy
from waybill.gateway.site import Site

KEPT: Final = 100
DOCUMENTS, MOVED, SOURCE = "documents.yaml", "moved.json", "source.yaml"
SITE, BOOTSTRAP = "site.json", "envoy.json"


@dataclass(frozen=True)
class Generation:
    """One state of the documents, and how it came to be."""

    number: int
    replaced: int
    """The generation that was current before; 0 for the first."""
    at: str
    by: str
    reason: str


def prepare(folder: Path, site: Site, given: Iterable[Document]) -> Generation:
    """Make the folder for a site, with a first generation of these documents where it has none.

    A folder that has one keeps what was moved in it, made anew for the site, until the given documents change.

    Raises:
        Refused: the documents are not supported, or mean nothing at this site.

    """
    folder.mkdir(parents=True, exist_ok=True)
    source = texts.dump(given := tuple(given))
    kept = folder / SOURCE
    with documents_alone(folder):
        is_kept = kept.exists() and kept.read_text() == source and (folder / CURRENT).exists()
        every = read(folder) if is_kept else given
        bootstrap = compiled(every, site, folder).bootstrap()  # refused before anything is written
        site.save(folder / SITE)
        (folder / BOOTSTRAP).write_text(bootstrap)
        made = publish(folder, every, by="start", reason="", at_once=True)  # no Envoy runs on it yet
        kept.write_text(source)  # last: a start that is killed before it is made again
        return made


def publish(folder: Path, given: Iterable[Document], *, by: str, reason: str, at_once: bool = False) -> Generation:
    """Make the documents the current generation. Envoy follows within milliseconds; see `await_applied`.

    Where they name a backend for the first time a generation comes before it, in which Envoy gets to know it: waits
    until Envoy has, some seconds at most. `at_once` leaves that out, for who knows that no request is led there yet.

    Whoever has read what these replace does both in `documents_alone`.

    Raises:
        Refused: the documents are not supported, or the folder is no gateway's; the current generation stays.

    """
    with _locked(folder):
        every = tuple(given)
        site = Site.load(folder / SITE)
        configuration = compiled(every, site, folder)
        if not (folder / CURRENT).exists():
            return _make(folder, every, configuration, by, reason)
        former = read(folder)
        known = compiled(former, site, folder)
        configuration = configuration.with_clusters(known.clusters)
        if not at_once and configuration.names > known.names:
            _make_known(folder, former, known.with_clusters(configuration.clusters), site, by, reason)
        return _make(folder, every, configuration, by, reason)


def _make(folder: Path, every: tuple[Document, ...], configuration: Configuration, by: str, reason: str) -> Generation:
    number = max(numbers(folder), default=0) + 1
    former = current(folder).number if (folder / CURRENT).exists() else 0
    made = Generation(number, former, datetime.now(UTC).isoformat(timespec="milliseconds"), by, reason)
    _write(folder, made, every, configuration)
    _point(folder, number)
    _forget(folder, number, former)
    return made


def _make_known(
    folder: Path, former: tuple[Document, ...], configuration: Configuration, site: Site, by: str, reason: str
) -> None:
    """Let Envoy know the new clusters, with the routes as they are. Raises Refused, and then nothing has changed."""
    before = current(folder).number
    made = _make(folder, former, configuration, by, f"prepare: {reason}")
    try:
        envoy.await_applied(site.admin, made.number)
    except Refused:
        _point(folder, before)
        raise


def rollback(folder: Path, *, to: int | None = None) -> Generation:
    """Make the generation before the current one current again, or the one that is named.

    Raises:
        Refused: there is none.

    """
    with _locked(folder):
        number = to or current(folder).replaced
        if not number:
            raise Refused(f"{folder}: generation {current(folder).number} is the first: there is none to go back to")
        if number not in numbers(folder):
            raise Refused(f"{folder}: there is no generation {number} to go back to")
        _point(folder, number)
        return generation(folder, number)


def current(folder: Path) -> Generation:
    """Return the current generation; raises Refused where there is none."""
    link = folder / CURRENT
    if not link.is_symlink():
        raise Refused(f"{folder}: there is no current generation")
    return generation(folder, int(link.readlink().name))


def generation(folder: Path, number: int) -> Generation:
    """Return what is known of a generation."""
    return Generation(**json.loads((folder / _name(number) / MOVED).read_text()))


def read(folder: Path, number: int | None = None) -> tuple[Document, ...]:
    """Return the documents of a generation, the current one where none is named."""
    place = folder / (CURRENT if number is None else _name(number))
    return texts.parse({DOCUMENTS: (place / DOCUMENTS).read_text()})


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the generations that are kept, in order."""
    return sorted(int(one.name) for one in folder.iterdir() if one.name.isdigit())


def _name(number: int) -> str:
    return f"{number:04d}"


def _write(folder: Path, made: Generation, every: tuple[Document, ...], configuration: Configuration) -> None:
    draft = folder / f".{_name(made.number)}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    files = configuration.files(str(made.number))
    files |= {DOCUMENTS: texts.dump(every), MOVED: json.dumps(asdict(made), indent=1) + "\n"}
    for name, text in files.items():
        (draft / name).write_text(text)
    draft.rename(folder / _name(made.number))


def _point(folder: Path, number: int) -> None:
    draft = folder / f".{CURRENT}"
    draft.unlink(missing_ok=True)
    draft.symlink_to(_name(number))
    draft.replace(folder / CURRENT)


def _forget(folder: Path, number: int, former: int) -> None:
    for old in numbers(folder)[:-KEPT]:
        if old not in {number, former}:
            shutil.rmtree(folder / _name(old))


@contextmanager
def documents_alone(folder: Path) -> Generator[None]:
    """Be the only one that reads the documents and replaces them; waits for another one, which takes milliseconds."""
    with (folder / ".moves").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    if not (folder / SITE).is_file():
        raise Refused(f"{folder} is no gateway's folder: it has no {SITE}")
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
