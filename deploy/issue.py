"""Make the development issuer's key, publish its public half, print a customer's and a staff member's token as JSON.

The private key stays in a volume of the issuer's own (`/issuer`): a service that can check tokens cannot make them.
"""

import json
import shutil
from pathlib import Path

from devstack import tokens

ISSUER = Path("/issuer")
PUBLISHED = Path("/jwks/jwks.json")


def main() -> None:
    """Make what is missing; the same key, and new tokens, on every run."""
    tokens.prepare(ISSUER)
    draft = PUBLISHED.with_suffix(".draft")
    shutil.copyfile(tokens.jwks_file(ISSUER), draft)
    draft.replace(PUBLISHED)
    print(json.dumps(tokens.demo(ISSUER), indent=2))  # noqa: T201 - its one result


if __name__ == "__main__":
    main()
