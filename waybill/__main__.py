"""`python -m waybill SERVICE PROGRAM` runs a program of a service, `python -m waybill contracts …` a contract step."""

import sys

if __name__ == "__main__":
    if sys.argv[1:2] == ["contracts"]:
        from waybill.contracts.command import main as contracts

        sys.exit(contracts(sys.argv[2:]))
    from waybill.runtime.program import main

    main(sys.argv[1:])
