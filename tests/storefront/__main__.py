"""`make storefront-tests`: the webshop's own tests with each of its settings, then a browser; the last line is JSON.

The browser is Debian's Chromium (`apt-get install chromium`), led by playwright-core, which needs Node; where there is
none, the last line says so. Screenshots go to `.waybill/storefront`.
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import end_tidily
from tests.storefront.settings import outcomes
from tests.storefront.walk import Walk, chromium, walks

SCREENSHOTS = CHECKOUT / ".waybill" / "storefront"
NO_BROWSER = "not run: there is no chromium or no node"


def _browsed() -> dict[str, Walk]:
    browser = chromium()
    if browser is None or shutil.which("npm") is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="waybill-storefront-") as folder:
        found = walks(Path(folder), browser)
        shutil.copytree(Path(folder) / "screenshots", SCREENSHOTS, dirs_exist_ok=True)
    for settings, walk in found.items():
        print(f"browser, {settings}: {walk.steps} steps; screenshots in {SCREENSHOTS}", *walk.wrong, sep="\n  ")
    return found


def main() -> int:
    """Run them all; return the exit code: 0 where every test passed."""
    end_tidily()
    with tempfile.TemporaryDirectory(prefix="waybill-storefront-") as folder:
        found = outcomes(Path(folder))
    for settings, outcome in found.items():
        print(f"{settings}: {outcome.passed} passed, {outcome.failed} failed")
        if outcome.failed:
            print(outcome.said)
    failed = sum(outcome.failed for outcome in found.values())
    passed = {f"{settings}_passed": found[settings].passed for settings in ("monolith", "services", "mixed")}
    browsed = _browsed()
    failed += sum(bool(walk.wrong) for walk in browsed.values())
    steps = {f"browser_steps_{settings}": walk.steps for settings, walk in browsed.items()}
    print(json.dumps(passed | (steps or {"browser": NO_BROWSER}) | {"failed": failed}))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
