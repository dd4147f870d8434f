"""A release, step by step: contracts, migrations that expand, programs; and later those that contract.

Everything that can be refused is refused before anything is changed. Nothing is ever migrated back: what a release
added to the database, the code before does not look at.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from devstack import parts, screen, stack
from devstack.errors import DevstackError
from devstack.processes import leftovers
from devstack.release import migrations, records, rolling
from devstack.release.programs import BESIDE
from devstack.release.records import Record
from devstack.services import EVERY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from devstack.folder import Folder
    from devstack.parts import Site
    from devstack.release.migrations import Migration
    from devstack.release.programs import Patience, Programs
    from devstack.services import Service

APPLIED = "SELECT app, name FROM django_migrations"
DETAILS = 12


class Release:
    """One service of a running stack."""

    def __init__(self, folder: Folder, service: Service, programs: Programs, patience: Patience) -> None:
        self.folder = folder
        self.service = service
        self.programs = programs
        self.patience = patience
        self.site: Site = stack.site_kept(folder)
        self.names = rolling.in_sequence(programs.names(service.name))

    def forward(self, source: Path, *, until: str = "") -> None:
        """Release the code; with `until`, stop behind that program and leave old and new code side by side.

        Raises:
            DevstackError: it is refused, or was taken back.

        """
        known = records.read(self.folder, self.service.name)
        before = known.before if known and known.under_way else str(self.programs.source(self.names[0]))
        if known and known.under_way and known.folder != source:
            raise DevstackError(
                f"the release of {known.folder.name} is under way: take it back first (--roll-back), or complete it"
            )
        self.check(source)
        rolling.clear(self.programs, self.names, self.patience)
        self.expand(source)
        mine = f"{self.service.name}.{until}"
        behind = self.names.index(mine) + 1 if until else len(self.names)
        todo = [name for name in self.names[:behind] if self.programs.source(name) != source]
        if not todo and not (known and known.under_way):
            screen.say(f"{self.service.name} runs {source.name} already")
            return
        record = Record(source=str(source), before=before, under_way=True)
        records.write(self.folder, self.service.name, record)
        try:
            rolling.roll(self.programs, todo, source, self.patience)
        except BaseException:
            self._record_taken_back(known, before)
            raise
        records.write(self.folder, self.service.name, replace(record, under_way=behind < len(self.names)))

    def _record_taken_back(self, known: Record | None, before: str | None) -> None:
        if known and known.under_way:
            records.write(self.folder, self.service.name, known)  # as far as it was before this command
        else:
            records.write(self.folder, self.service.name, known or Record(source=str(before)))

    def back(self) -> None:
        """Bring every program back to the code before the last release, whether that was completed or not.

        Raises:
            DevstackError: there is no way back.

        """
        known = records.read(self.folder, self.service.name)
        if known is None or known.before is None:
            contracted = known is not None and known.contracted
            raise DevstackError(
                f"{self.service.name} was contracted, so that the code before cannot run: release a version that can"
                if contracted
                else f"{self.service.name} has no release to take back"
            )
        rolling.clear(self.programs, self.names, self.patience)
        before = Record(source=known.before)
        todo = [name for name in reversed(self.names) if self.programs.source(name) != before.folder]
        rolling.roll(self.programs, todo, before.folder, self.patience)
        records.write(self.folder, self.service.name, before)

    def contract(self) -> None:
        """Run the migrations that the code before could not live with.

        Raises:
            DevstackError: it still runs, or a migration is refused.

        """
        known = records.read(self.folder, self.service.name)
        source = known.folder if known else self.programs.source(self.names[0])
        running = {name: self.programs.running_source(name) for name in self.names}
        running |= {name: where for name in self.names if (where := self.programs.running_source(f"{name}{BESIDE}"))}
        if old := [name for name, where in running.items() if where != source]:
            raise DevstackError(
                f"{', '.join(old)}: other code than {source.name} still runs, and could not live with it: "
                "complete the release first"
            )
        todo = [one for one in self._missing(source) if one.contracts]
        if not todo:
            screen.say(f"{self.service.name}: nothing to contract")
            return
        self._refuse_faults(todo)
        self._run(source, "waybill", self.service.package, "migrate", environment=self._of_owner())
        screen.say(f"contracted: {', '.join(map(str, todo))}")
        records.write(self.folder, self.service.name, Record(source=str(source), contracted=True))

    def check(self, source: Path) -> None:
        """Refuse what would break somebody: contracts first, then migrations. Changes nothing in a database of ours."""
        self._run(source, "waybill", "contracts", "check")
        screen.say("contracts: every version can be read by every other")
        todo = self._missing(source)
        self._refuse_faults([one for one in todo if not one.contracts])
        later = {one.key for one in todo if one.contracts}
        for one in todo:
            if not one.contracts and (on := next((tuple(p) for p in one.parents if tuple(p) in later), None)):
                raise DevstackError(
                    f"{one} depends on {'.'.join(on)}, which contracts and has not run: make release "
                    f"SERVICE={self.service.name} ARGS=--contract with the version that has it"
                )
        screen.say(f"migrations: {len(todo) - len(later)} to run, {len(later)} for --contract later")

    def expand(self, source: Path) -> None:
        """Migrate what other code does not notice, and register the events' versions: FULL_TRANSITIVE is the rule."""
        self._run(source, "waybill", self.service.package, "migrate", "--expand", environment=self._of_owner())
        known = {step.name: step for step in parts.steps(self.site, tuple(EVERY), frozenset())}
        for name in ("topics", "schemas"):
            self._run(source, *known[name].command[2:], environment=known[name].environment)
        screen.say("migrated; every event version is registered")

    def _missing(self, source: Path) -> list[Migration]:
        with psycopg.connect(self.site.database(self.service.name, "owner")) as session:
            applied = set(session.execute(APPLIED).fetchall())
        return [one for one in migrations.of(source, self.service.package) if one.key not in applied]

    @staticmethod
    def _refuse_faults(todo: Sequence[Migration]) -> None:
        if faults := migrations.faults(todo):
            raise DevstackError("a migration cannot run beside the code before:", tuple(faults))

    def _of_owner(self) -> Mapping[str, str]:
        return parts.service_environment(self.site, self.service.name, "migrate")

    def _run(self, source: Path, *module: str, environment: Mapping[str, str] | None = None) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *module],
            cwd=source,
            env={**parts.inherited(), leftovers.MARK: str(self.folder.path), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise DevstackError(f"{' '.join(module)} failed:", tuple(done.stdout.splitlines()[-DETAILS:]))
