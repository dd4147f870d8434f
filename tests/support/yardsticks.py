"""`make yardsticks`: figures on how the code reads, of the working tree or of a commit, beside what is aimed at.

Counted are the Python modules of the product: the library, the relay and the services, without tests, benchmarks,
migrations and generated classes. A line is a line of the file; a comment's share is of the lines that are not empty.
"""

import argparse
import ast
import io
import subprocess
import sys
import tarfile
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

CHECKOUT = Path(__file__).parents[2]
LEFT_OUT = {"tests", "benchmarks", "examples", "docs", "deploy", "migrations"}
GENERATED = {"schemas/events.py"}
MOST_LINES = 300


@dataclass(frozen=True)
class Module:
    """A module's path in the tree and its text."""

    path: PurePosixPath
    text: str

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())

    def functions(self) -> Iterator[int]:
        """Yield how many lines each function has."""
        for node in ast.walk(ast.parse(self.text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield (node.end_lineno or node.lineno) - node.lineno + 1

    def wildcards(self) -> int:
        """Return in how many places `case _` stands without a guard."""
        cases = (node for node in ast.walk(ast.parse(self.text)) if isinstance(node, ast.match_case))
        return sum(isinstance(c.pattern, ast.MatchAs) and c.pattern.pattern is None and c.guard is None for c in cases)

    def comments(self) -> int:
        """Return how many lines have a comment."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a column for each commit that is named; without any, for the working tree."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.yardsticks", description=__doc__)
    parser.add_argument("commits", nargs="*", help="such as a tag; `.` is the working tree (default: .)")
    commits = parser.parse_args(arguments).commits or ["."]
    columns = [measured(of_tree() if commit == "." else of_commit(commit)) for commit in commits]
    names = ["the working tree" if commit == "." else commit for commit in commits]
    lines = [f"| Yardstick | Aim | {' | '.join(names)} |", "|---|---|" + "---|" * len(columns)]
    for (name, aim, figure), *others in zip(*columns, strict=True):
        lines += [f"| {name} | {aim} | {' | '.join([figure, *(other for _, _, other in others)])} |"]
    sys.stdout.write("\n".join(lines) + "\n")


def of_tree() -> list[Module]:
    """Return the modules of the working tree that git knows or would take."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"], cwd=CHECKOUT, text=True
    )
    return [
        Module(PurePosixPath(n), (CHECKOUT / n).read_text()) for n in listed.splitlines() if (CHECKOUT / n).exists()
    ]


def of_commit(commit: str) -> list[Module]:
    """Return the modules of a commit."""
    packed = subprocess.run(["git", "archive", commit], cwd=CHECKOUT, capture_output=True, check=False)
    if packed.returncode:
        sys.exit(f"yardsticks: {packed.stderr.decode().strip()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.name.endswith(".py")]
        return [Module(PurePosixPath(name), file.read().decode()) for name, file in files if file]


def measured(modules: Sequence[Module]) -> list[tuple[str, str, str]]:
    """Return name, aim and figure of each yardstick."""
    own = [m for m in modules if not LEFT_OUT & set(m.path.parts) and str(m.path) not in GENERATED]
    packages = Counter(m.path.parent for m in own if m.path.name not in {"__init__.py", "__main__.py"})
    largest = ", ".join(f"{package} {count}" for package, count in packages.most_common(3))
    long = sorted((m for m in own if m.lines > MOST_LINES), key=lambda m: -m.lines)
    filled = sum(1 for m in own for line in m.text.splitlines() if line.strip())
    return [
        ("modules", "", str(len(own))),
        ("modules per package, at most", "12", f"{max(packages.values())} ({largest})"),
        ("lines of a module, p90", "300", str(ninetieth([m.lines for m in own]))),
        (f"modules over {MOST_LINES} lines", "", f"{len(long)}{named(long)}"),
        ("lines of a function, p90", "30", str(ninetieth([n for m in own for n in m.functions()]))),
        (
            "`case _` in deciders",
            "0",
            str(sum(m.wildcards() for m in own if "domain" in {m.path.stem, m.path.parent.name})),
        ),
        ("lines with a comment", "3-6 %", f"{100 * sum(m.comments() for m in own) / filled:.1f} %"),
    ]


def named(modules: Sequence[Module]) -> str:
    """Return the modules in brackets, with their lines."""
    return f" ({', '.join(f'{m.path} {m.lines}' for m in modules)})" if modules else ""


def ninetieth(values: Sequence[int]) -> int:
    """Return the value that nine of ten do not exceed."""
    return sorted(values)[-(-9 * len(values) // 10) - 1] if values else 0


if __name__ == "__main__":
    main()
