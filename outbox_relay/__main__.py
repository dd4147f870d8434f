"""`python -m outbox_relay`: serve one service's database until SIGTERM or SIGINT; with a verb, the `outbox` command."""

import signal
import sys
from threading import Event
from types import FrameType

from chassis import health
from chassis.settings import read
from chassis.telemetry import configure_logging
from outbox_relay.condition import Condition
from outbox_relay.program import Program
from outbox_relay.settings import RelaySettings


def main() -> None:
    """Run the relay; exits 0 when told to stop, and with one line where its settings are wrong."""
    settings = read(RelaySettings)
    configure_logging(f"{settings.service}.relay", settings.log_level)
    stopping, condition = Event(), Condition()

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    health.serve(settings.host, settings.port, condition.unready)
    Program(settings, stopping, condition).run()


if __name__ == "__main__":
    if sys.argv[1:]:
        from outbox_relay import command

        command.main()
    main()
