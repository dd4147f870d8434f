"""`python -m chassis`."""

import sys

from chassis.program import main

main(sys.argv[1:])
