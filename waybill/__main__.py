"""`python -m waybill SERVICE PROGRAM` runs a program of a service; the others are commands."""

import sys

from waybill.runtime.signals import end_while_starting

if __name__ == "__main__":
    end_while_starting()
    if sys.argv[1:2] == ["contracts"]:
        from waybill.contracts.command import main as contracts

        sys.exit(contracts(sys.argv[2:]))
    if sys.argv[1:2] == ["startservice"]:
        from waybill.startservice.command import main as startservice

        sys.exit(startservice(sys.argv[2:]))
    if sys.argv[1:2] == ["outbox-sql"]:
        from waybill.outbox.printing import main as outbox_sql

        sys.exit(outbox_sql(sys.argv[2:]))
    if sys.argv[1:2] == ["gateway"]:
        from waybill.gateway.command import main as gateway

        sys.exit(gateway(sys.argv[2:]))
    if sys.argv[1:2] == ["shadow"]:
        from waybill.shadow.command import main as shadow

        sys.exit(shadow(sys.argv[2:]))
    from waybill.runtime.program import main

    main(sys.argv[1:])
