"""Arguments: a mistake is one line on stderr and exit code 2."""

import argparse
from typing import NoReturn

from waybill.commands.exits import USAGE
from waybill.commands.printing import printable


class Parser(argparse.ArgumentParser):
    """One line for what it cannot understand, in place of the whole usage."""

    def error(self, message: str) -> NoReturn:
        """Leave with what is wrong."""
        self.exit(USAGE, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")
