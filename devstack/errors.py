"""Errors that a user can act on: one line that names what is wrong and the remedy."""


class DevstackError(Exception):
    """Say in one line what is wrong with the environment and what to do; `details` are lines to show below it."""

    def __init__(self, line: str, details: tuple[str, ...] = ()) -> None:
        super().__init__(line)
        self.details = details


class Interrupted(BaseException):
    """Stop at a signal; not an Exception, so that no `except Exception` on the way keeps it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal_number)
        self.signal_number = signal_number
