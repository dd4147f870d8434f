"""Named points at which a chaos run may kill or freeze this very process; nothing anywhere else.

A run names a folder in WAYBILL_FAIL_POINTS and arms a point by putting a file there, `<service>.<point>`, that says
`kill` or `stop`. Whoever removes the file acts on it, so one file stops one process once. Without the variable, which
no deployment sets, `reach` returns at once; and whoever can set it, or write to the folder, could end the process
anyway.
"""

import os
import signal
from contextlib import suppress
from pathlib import Path

FOLDER = os.environ.get("WAYBILL_FAIL_POINTS")  # None in production: a fail point then costs one comparison
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


def reach(point: str) -> None:
    """Say that this process is at the point; where it is armed, the process ends or freezes here."""
    if FOLDER is None:
        return
    with suppress(OSError, KeyError):
        armed = Path(FOLDER, f"{os.environ.get('WAYBILL_SERVICE', '')}.{point}")
        wanted = SIGNALS[armed.read_text().strip()]
        armed.unlink()  # of two who are here, one goes on
        os.kill(os.getpid(), wanted)
