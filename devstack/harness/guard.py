"""Stops a stack whose owner is gone, however that ended: `python -m devstack.harness.guard`, on a pipe from the owner.

What an owner that was killed has started would run on: its processes have a session of their own. The kernel closes the
pipe with its last writer, which no signal can prevent.
"""

import subprocess
import sys


def main() -> None:
    """Wait for the owner's word that all is stopped; without one, stop the stack of WAYBILL_HOME and wipe its data."""
    if sys.stdin.read() != "stopped":
        subprocess.run([sys.executable, "-m", "devstack", "reset"], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
