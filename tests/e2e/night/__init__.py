"""A night as an operator: situations on a running stack, with the time to detect each and the time to repair it.

    python -m tests.e2e.night            all of them, as a table (make night)
    python -m tests.e2e.night --only …   those whose name has one of the words

A situation does its harm; is detected once the signal that the runbook names shows it; is repaired by the commands that
the runbook names; and is over once the proof holds again. What needs a part that is missing here is left out by name.
"""
