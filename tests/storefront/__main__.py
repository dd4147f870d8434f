"""`make storefront-tests`: the webshop's own tests with each of its settings; the last line is JSON."""

import json
import sys
import tempfile
from pathlib import Path

from devstack.harness.interrupts import end_tidily
from tests.storefront.settings import outcomes


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
    print(json.dumps(passed | {"failed": failed}))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
