"""A saga of another domain is searched too: seats that are paid by vouchers, as the how-to page has it."""

import re
import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT

EXAMPLE = CHECKOUT / "examples" / "saga"
PAGE = (CHECKOUT / "docs" / "how-to" / "search-a-saga.md").read_text()
SEARCH = """
from test_saga import *
{before}
found = explore(seats, vouchers, requests=REQUESTS, {options})
print(found.story)
"""
RELEASE_FORGOTTEN = "from vouchers import reactions; del reactions.seat_released.reacts_to"
ANSWER_FORGOTTEN = "from seats import reactions; del reactions.voucher_refused.reacts_to"
REFUSED = """
from vouchers import domain
from waybill.deciders.outcomes import Code, Refused
decide = domain.decide
def harsh(command, state):
    decided = decide(command, state)
    return Refused(Code.CONFLICT, "no good") if "VoucherRefused" in str(decided) else decided
domain.decide = harsh
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=EXAMPLE,
        env={"PYTHONPATH": f"{EXAMPLE}:{CHECKOUT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def story(options: str, before: str = "") -> str:
    done = run("-c", SEARCH.format(before=before, options=options))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_pages_test_is_the_examples_and_passes():
    (shown,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert shown == (EXAMPLE / "test_saga.py").read_text()
    done = run("-m", "unittest")
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr


def test_the_pages_story_is_what_the_search_tells():
    (told,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert story("at_the_end=each_seat_has_ended, again=True") == told.strip()


@pytest.mark.parametrize(
    ("slip", "options", "broken", "last"),
    [
        (
            RELEASE_FORGOTTEN,
            "at_the_end=each_seat_has_ended",
            "set() are booked, and {'A1'} are paid for",
            "seats reads VoucherRedeemed: ignored (it is booked already, or was released meanwhile)",
        ),
        (ANSWER_FORGOTTEN, "at_the_end=each_seat_has_ended", "{'A1'} stay held for ever", "VoucherRefused"),
        (REFUSED, "", "vouchers reads SeatHeld: refused (no good)", "HoldSeat"),
    ],
)
def test_a_slip_is_found_with_the_shortest_way_to_it(slip: str, options: str, broken: str, last: str):
    told = story(options, slip)
    assert told.startswith("BROKEN:")
    assert broken in told.splitlines()[0]
    assert last in told.splitlines()[-1]


def test_an_invariant_that_a_state_breaks_is_named_by_its_function():
    assert story("always=lambda rows: None") == ""
    told = story("always=nobody_sits", "def nobody_sits(rows): assert ('seat', 'A1') not in rows")
    assert told.splitlines() == [
        "BROKEN: nobody_sits does not hold",
        "The shortest way there:",
        "  1 a client: HoldSeat: SeatHeld",
    ]


def test_a_request_to_a_service_that_is_not_searched_is_refused():
    done = run("-c", "from test_saga import *; explore(seats, requests=REQUESTS)")
    assert "IssueVoucher(voucher_id='V') is for vouchers, which is not explored" in done.stderr


def test_more_states_than_allowed_are_said():
    done = run("-c", "from test_saga import *; explore(seats, vouchers, requests=REQUESTS, most_states=100)")
    assert "TooManyStates: seats and vouchers: more than 100 states" in done.stderr
