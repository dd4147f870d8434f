"""The page as a script of bash: `sh` blocks in order, each line of a `console` block as a program beside them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack.folder import CHECKOUT

PAGE = CHECKOUT / "docs" / "how-to" / "leave-a-monolith.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
ADDRESS = re.compile(r"(\w+)=(127\.0\.0\.1:)?(\d{4,5})(?=[\s/]|$)", re.MULTILINE)
MARK = "@@"
BEGIN = """
set -euo pipefail
cd "$SHOP"
trap 'echo "{mark} failed at line $LINENO: $BASH_COMMAND"' ERR
set -E
"""


@dataclass(frozen=True)
class Block:
    """A block of the page, under its heading."""

    heading: str
    language: str
    text: str


def blocks(until: str | None = None) -> list[Block]:
    """The blocks that are followed, up to a heading that begins so."""
    page = PAGE.read_text()
    headings = [(found.start(), found[1]) for found in HEADING.finditer(page)]
    made = []
    for found in BLOCK.finditer(page):
        heading = next((name for at, name in reversed(headings) if at < found.start()), "")
        if until and heading.startswith(until):
            break
        if found[1] in {"sh", "console"}:
            made.append(Block(heading, found[1], found[2]))
    return made


def ports(text: str) -> list[str]:
    """The variables that stand for an address of this machine."""
    return [found[1] for found in ADDRESS.finditer(text)]


def script(given: list[Block], ports: Mapping[str, int], variables: Mapping[str, str], logs: Path) -> str:
    """One script; says at each block where it is, and exports what the reader would have set."""
    lines = [BEGIN.format(mark=MARK)]
    programs = 0
    for number, block in enumerate(given):
        lines.append(f"echo '{MARK} {number} {block.heading}'")
        if block.language == "console":
            for line in block.text.splitlines():
                programs += 1
                lines.append(f"{{ {line}; }} > {logs}/{programs:02d}.log 2>&1 &")
            continue
        lines += _commands(block.text, ports, variables)
    return "\n".join([*lines, f"echo '{MARK} end'", "exit 0", ""])


def _commands(text: str, ports: Mapping[str, int], variables: Mapping[str, str]) -> Iterator[str]:
    if "pip install" in text:  # the environment is there; the addresses are free ones
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("pip "))
        text = ADDRESS.sub(lambda found: f"{found[1]}={found[2] or ''}{ports[found[1]]}", text)
        yield text
        yield "export " + " ".join(f"{name}={value}" for name, value in variables.items())
        return
    yield re.sub(r"^! (.+)$", r"if \1; then false; fi", text, flags=re.MULTILINE)
