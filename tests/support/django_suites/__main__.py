"""`make django-suites`: run Django's own suites on the REST backend; the last line is JSON.

Only some suites: ARGS="--only ordering,lookup"; some tests of one: ARGS="--only lookup lookup.tests.LookupTests".
"""

import argparse
import json
import sys

from tests.support.django_suites import page, sdist, suites, verdicts
from tests.support.postgres import postgres_server


def main() -> int:
    """Run them, print what became of them, and return 1 where a test fails that is not expected to."""
    parser = argparse.ArgumentParser(prog="make django-suites", description=__doc__.splitlines()[0])
    parser.add_argument("--only", default=",".join(suites.SUITES), help="suites between commas")
    parser.add_argument("--write", action="store_true", help="write expected.toml and the page's tables anew")
    parser.add_argument("labels", nargs="*", help="tests of the one suite that is run")
    given = parser.parse_args()
    only = given.only.split(",")
    if unknown := set(only) - set(suites.SUITES):
        parser.error(f"no such suite: {', '.join(sorted(unknown))}; there are {', '.join(suites.SUITES)}")
    if given.labels and (len(only) > 1 or given.write):
        parser.error("tests by name are run of one suite (--only), and written nowhere")
    return report(only, tuple(given.labels), write=given.write)


def report(only: list[str], labels: tuple[str, ...], *, write: bool) -> int:
    groups = verdicts.read()
    tests = sdist.tests()
    found: dict[str, verdicts.Verdict] = {}
    with postgres_server() as database:
        for suite in only:
            outcomes = suites.run(suite, tests, database, labels)
            if write:
                groups = verdicts.learned(outcomes.ran, groups)
            verdict = found[suite] = verdicts.judge(outcomes.ran, outcomes.skipped, groups)
            if not labels:
                verdict.failures |= verdicts.stale([*outcomes.ran, *outcomes.skipped], [suite], groups)
            say(suite, verdict)
    if write:
        verdicts.write(groups)
        page.write(found, groups)
    failed = sum(len(verdict.failures) for verdict in found.values())
    total = {
        "passed": sum(verdict.passed for verdict in found.values()),
        "expected_failures": sum(verdict.expected.total() for verdict in found.values()),
        "failed": failed,
    }
    sys.stdout.write(json.dumps(total) + "\n")
    return 1 if failed else 0


def say(suite: str, verdict: verdicts.Verdict) -> None:
    for test, wrong in sorted(verdict.failures.items()):
        sys.stdout.write(f"FAILED {test}\n" + "".join(f"    {one[:600]}\n" for one in wrong))
    sys.stdout.write(
        f"{suite}: {verdict.passed} passed, {verdict.expected.total()} expected failures, "
        f"{len(verdict.failures)} failed, {verdict.skipped} skipped by Django\n"
    )
    for reason, tests in verdict.expected.most_common():
        sys.stdout.write(f"    {tests:4} {reason}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
