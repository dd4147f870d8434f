"""`make storefront-tests`: the webshop's own tests wherever its models live, then a browser; the last line is JSON.

On services, one in Go keeps the reviews where there is a Go to build it, else one in Python, as with --without-go. The
browser is Debian's Chromium (`apt-get install chromium`), led by playwright-core, which needs Node; where there is
none, the last line says so. Screenshots go to `.waybill/storefront`.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from devstack.folder import CHECKOUT
from devstack.harness.interrupts import end_tidily
from tests.storefront import services
from tests.storefront.settings import HALF, STEPS, outcomes, storefront
from tests.storefront.shop import Shop
from tests.storefront.walk import Walk, chromium, walks

SCREENSHOTS = CHECKOUT / ".waybill" / "storefront"
NO_BROWSER = "not run: there is no chromium or no node"


def _browsed(shops: tuple[Shop, Shop], folder: Path, *, go: bool) -> dict[str, Walk]:
    browser = chromium()
    if browser is None or shutil.which("npm") is None:
        return {}
    found = walks(shops, folder / "screenshots", browser, go=go)
    shutil.copytree(folder / "screenshots", SCREENSHOTS, dirs_exist_ok=True)
    for settings, walk in found.items():
        print(f"browser, {settings}: {walk.steps} steps; screenshots in {SCREENSHOTS}", *walk.wrong, sep="\n  ")
    return found


def main() -> int:
    """Run them all; return the exit code: 0 where every test passed."""
    parser = argparse.ArgumentParser(prog="python -m tests.storefront", description=__doc__)
    parser.add_argument("--without-go", action="store_true", help="the service in Python keeps the reviews")
    why_not = "--without-go" if parser.parse_args().without_go else services.why_not_go()
    go = why_not is None
    print("reviews are kept by the service in", "Go" if go else f"Python: {why_not}")
    end_tidily()
    with tempfile.TemporaryDirectory(prefix="waybill-storefront-") as name, storefront(Path(name)) as shops:
        found = outcomes(shops, HALF | STEPS, go=go)
        browsed = _browsed(shops, Path(name), go=go)
    for name, outcome in found.items():
        print(f"{name}: {outcome.passed} passed, {outcome.failed} failed")
        if outcome.failed:
            print(outcome.said)
    failed = sum(outcome.failed for outcome in found.values())
    passed = {f"{name}_passed": outcome.passed for name, outcome in found.items()}
    failed += sum(bool(walk.wrong) for walk in browsed.values())
    steps = {f"browser_steps_{settings}": walk.steps for settings, walk in browsed.items()}
    passed_in = passed | {"reviews": "go" if go else "python"}
    print(json.dumps(passed_in | (steps or {"browser": NO_BROWSER}) | {"failed": failed}))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
