"""`python -m tests.e2e.night`: arguments, printing and the exit code only. 0 every situation was known and repaired."""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from devstack.harness.interrupts import end_tidily
from tests.support import services


def main(arguments: Sequence[str]) -> int:
    """Run the night once."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.night", description="A night as an operator.")
    parser.add_argument("--only", default="", metavar="WORDS", help="only situations whose name has one, by comma")
    given = parser.parse_args(arguments)
    services.configure()
    from tests.chaos import stage
    from tests.e2e.night import brokers, consistency, databases, outside, records, situations, table  # noqa: F401 - they add their situations

    end_tidily()
    words = [word.strip() for word in given.only.split(",") if word.strip()]
    chosen = [one for one in situations.SITUATIONS if not words or any(word in one.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="waybill-night-", ignore_cleanup_errors=True) as home:
        (Path(home) / "stack").mkdir()
        with stage.running(Path(home) / "stack") as running:
            began = time.monotonic()
            found = [situations.live_through(one, running, lambda line: print(line, flush=True)) for one in chosen]
            if any(one.failure for one in found):
                kept = Path(tempfile.mkdtemp(prefix="waybill-night-log-"))
                shutil.copytree(running.folder.log, kept, dirs_exist_ok=True)
                print(f"the programs' logs: {kept}")
            print(*table.lines(found), f"{time.monotonic() - began:.0f} s in all", sep="\n")
    return int(any(one.failure for one in found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
