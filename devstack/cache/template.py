"""The data of a first start, made once and copied for every new stack: after all migrations, topics and schemas.

These steps take a quarter of the CPU of a first start, and leave the same data each time. A template is what they left
in a scratch stack that was stopped in order: PostgreSQL's cluster, Kafka's storage and the registry's file, together,
since the database holds the registry's ids. A copy gets passwords and a cluster id of its own.

A template is named by the content of what it follows from: another migration, schema or version makes another one.
Where only code around them changed, the steps are done again on the copy, which is safe to repeat and changes little.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from devstack.cache import artifacts
from devstack.folder import CHECKOUT, Folder, read_json, write_json
from devstack.infrastructure import kafka, postgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from devstack.parts import Site

NEEDED: Final = frozenset({"postgres", "kafka", "registry"})
SOURCES: Final = (
    "*_service/migrations/*.py",
    "waybill/*/migrations/*.py",
    "schemas/topics.toml",
    "schemas/*/*.avsc",
    "services.toml",
    "devstack/infrastructure/*.py",
    "devstack/cache/artifacts.toml",
    "uv.lock",
)
DONE: Final = "done.json"  # which steps' outcome it holds, as stack.json says it of a stack
OWNER: Final = "owner"


def path() -> Path:
    """Name the template of this checkout as it is now."""
    found = hashlib.sha256()
    for file in sorted({file for pattern in SOURCES for file in CHECKOUT.glob(pattern)}):
        found.update(b"%s\0%s" % (str(file.relative_to(CHECKOUT)).encode(), file.read_bytes()))
    return artifacts.cache() / f"template-{found.hexdigest()[:12]}"


def scratch() -> Folder:
    """Name the folder of the stack whose data becomes a template; one that was killed is found there again."""
    return Folder(artifacts.cache() / "template.making")


def done(template: Path) -> Mapping[str, str]:
    """Return the digests of the steps whose outcome the template holds; nothing where there is no template."""
    return read_json(template / DONE)


def keep(template: Path, made: Folder, digests: Mapping[str, str]) -> None:
    """Make a template of a stack that was stopped, in one step, and remove those of this checkout that it replaces."""
    draft = template.with_name(f"{template.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    copy((source, draft / name) for name, source in data(made).items())
    write_json(draft / DONE, digests)
    (draft / OWNER).write_text(f"{CHECKOUT}\n")
    shutil.rmtree(template, ignore_errors=True)
    draft.rename(template)
    remove_stale(template)


def fill(template: Path, site: Site, folder: Folder) -> None:
    """Give a stack the template's data, in place of what a start that never ended has left.

    Raises:
        DevstackError: PostgreSQL does not take the stack's own passwords.

    """
    targets = data(folder)
    empty(folder)
    for target in targets.values():
        target.parent.mkdir(exist_ok=True)
    copy((template / name, target) for name, target in targets.items())
    kafka.identify(targets["kafka"], {"cluster.id": site.secrets["kafka"]})
    postgres.set_passwords(site, folder)


def empty(folder: Folder) -> None:
    """Remove the data that a template would replace."""
    for target in data(folder).values():
        shutil.rmtree(target, ignore_errors=True)


def data(folder: Folder) -> dict[str, Path]:
    """Return where a stack keeps what a template holds."""
    return {
        "postgres": folder.postgres,
        "kafka": folder.data / "kafka" / "log",
        "registry": folder.data / "registry",
    }


def copy(pairs: Iterable[tuple[Path, Path]]) -> None:
    """Copy folders, owners and rights included, at once.

    Raises:
        OSError: a copy failed.

    """
    running = [subprocess.Popen(["cp", "-Rp", source, target]) for source, target in pairs]
    codes = [process.wait() for process in running]
    if any(codes):
        raise OSError("cannot copy the data of a template")


def remove_stale(current: Path) -> None:
    """Remove the templates of this checkout but the current one, and those of checkouts that are gone."""
    for owner in artifacts.cache().glob(f"template-*/{OWNER}"):
        checkout = owner.read_text().strip()
        if owner.parent != current and (checkout == str(CHECKOUT) or not Path(checkout).exists()):
            shutil.rmtree(owner.parent, ignore_errors=True)
