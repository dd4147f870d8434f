"""`make console-tests`: arguments, printing and the exit code only; the last line is JSON.

The browser is Debian's Chromium (`apt-get install chromium`); where there is none, the terminal's half alone is gone
through, and the last line says so.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import end_tidily
from tests.support import services

SETTINGS = {"PROVIDER_SLOW_SECONDS": "2"}  # what a charge takes that is slow: time to cancel its order


def main(arguments: Sequence[str]) -> int:
    """Go through the night once; 0 where each incident was found and mended, and no screen is at fault."""
    parser = argparse.ArgumentParser(prog="python -m tests.console", description="The night shift.")
    parser.add_argument("--only", default="", metavar="WORDS", help="only incidents whose name has one, by comma")
    parser.add_argument("--screenshots", type=Path, default=CHECKOUT / ".waybill" / "console", help="their folder")
    given = parser.parse_args(arguments)
    services.configure()
    from tests.chaos import stage
    from tests.console import night

    end_tidily()
    words = [word.strip() for word in given.only.split(",") if word.strip()]
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="waybill-console-", ignore_cleanup_errors=True) as home:
        (Path(home) / "stack").mkdir()
        with stage.running(Path(home) / "stack", settings=SETTINGS) as running:
            found = night.through(running, words, browser, given.screenshots, lambda line: print(line, flush=True))
            if found.failed:
                kept = Path(tempfile.mkdtemp(prefix="waybill-console-log-"))
                shutil.copytree(running.folder.log, kept, dirs_exist_ok=True)
                print(f"the programs' logs: {kept}")
    print(*found.table(), *found.wrong, sep="\n")
    print(f"{time.monotonic() - began:.0f} s in all")
    print(json.dumps(found.summary() | ({} if browser else {"browser": "not run: there is no chromium"})))
    return int(found.failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
