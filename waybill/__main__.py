"""`python -m waybill SERVICE PROGRAM` runs a program of a service; the others are commands."""

import sys

from waybill.runtime.signals import end_while_starting

if __name__ == "__main__":
    end_while_starting()
    # Each is imported when it is asked for: what it stands on may not be installed, or would take long.
    match sys.argv[1:]:
        case ["contracts", *arguments]:
            from waybill.contracts.command import main
        case ["gateway", *arguments]:
            from waybill.gateway.command import main
        case ["migrate", *arguments]:
            from waybill.migrate.command.entry import main
        case ["outbox-sql", *arguments]:
            from waybill.outbox.printing import main
        case ["shadow", *arguments]:
            from waybill.shadow.command import main
        case ["startservice", *arguments]:
            from waybill.startservice.command import main
        case arguments:
            from waybill.runtime.program import main
    sys.exit(main(arguments))
