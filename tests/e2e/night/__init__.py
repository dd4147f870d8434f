"""A night as an operator: situations on a running stack, with the time to know of each and the time to mend it.

    python -m tests.e2e.night            all of them, as a table (make night)
    python -m tests.e2e.night --only …   those whose name has one of the words

A situation does its harm; is known once the signal that the runbook names shows it; is mended by the commands that the
runbook names; and is over once the proof holds again. What needs a part that this machine lacks is left out by name.
"""
