"""`python -m outbox_relay`: serve outboxes until SIGTERM or SIGINT; with a verb, the `outbox` command.

Each imports only what it needs: the command starts in half the time that both would take.
"""

import sys

from waybill.runtime.signals import end_while_starting

if __name__ == "__main__":
    end_while_starting()
    if sys.argv[1:]:
        from outbox_relay.cli.entry import main
    else:
        from outbox_relay.relay.program.serving import main
    main()
