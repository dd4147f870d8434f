"""The whole stack under load and faults, and three records compared at the end: `python -m tests.chaos`, `make chaos`.

`stage.py` is the stack with its links, `load.py` the customers, `faults.py` what goes wrong, `plan.py` when,
`oracle.py` what must hold afterwards, `mutants.py` broken products that the oracle must find.
"""
