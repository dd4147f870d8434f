"""The codes that a command leaves with; the same as the `outbox` command's."""

from typing import Final

DONE, MISMATCH, USAGE, PARTIAL, DEPENDENCY_DOWN, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXITS: Final = (
    "exit codes: 0 done, 1 threshold passed or mismatch, 2 usage, 3 partial, 4 dependency down, 130 interrupted"
)
