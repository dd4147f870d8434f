"""A receiver of OTLP that takes everything and reads nothing: `python -m benchmarks.otlp_receiver PORT FILE`.

The file has the number of requests that it took, from its start on.
"""

import asyncio
import sys
from pathlib import Path

from devstack.simulators.http_server import Answer, Request, serve


def main() -> None:
    """Run until SIGTERM."""
    port, counted = int(sys.argv[1]), Path(sys.argv[2])
    taken = 0
    counted.write_text("0")

    def answer(_: Request) -> Answer:
        nonlocal taken
        taken += 1
        counted.write_text(str(taken))
        return Answer(200, {})

    asyncio.run(serve("127.0.0.1", port, answer))


if __name__ == "__main__":
    main()
