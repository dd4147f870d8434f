"""Ask a program in this container whether it is ready; exit 0 where it answers 200. Images have no curl."""

import sys
import urllib.error
import urllib.request

SECONDS = 3


def main() -> int:
    """Return the exit code that a container's health check reads."""
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=SECONDS) as answer:  # noqa: S310 - the compose file's own URL  # nosec B310
            return 0 if answer.status == 200 else 1  # noqa: PLR2004 - the one good status
    except urllib.error.HTTPError as error:
        sys.stderr.write(f"{error.code} {error.read().decode(errors='replace')}")
    except OSError as error:
        sys.stderr.write(f"{error}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
