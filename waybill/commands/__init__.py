"""Exit codes, arguments and printing of the commands of `python -m waybill`, as the `outbox` command has them."""
