"""What the installed `outbox` runs first: its modules take half a second, in which Ctrl-C ends it without a word."""

import signal


def main() -> None:
    """Load the command and run it."""
    interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)
    from outbox_relay.cli import command

    signal.signal(signal.SIGINT, interrupts)
    command.main()
