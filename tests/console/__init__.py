"""The night shift: ten incidents on a running stack, each found and mended in a browser and in a terminal.

    python -m tests.console            all of them, as a table (make console-tests)
    python -m tests.console --only …   those whose name has one of the words

An incident is found by the first place where an operator looks: `outbox doctor`, and the console's overview. It is
mended by what that place names next, and is over once it is gone from there and orders are carried through again.
Commands, clicks and fields that are filled in are counted; every screen is photographed and checked by axe-core.
"""
