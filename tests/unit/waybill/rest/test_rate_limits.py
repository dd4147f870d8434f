"""Each caller has a quota in each window, over all processes, and no number of callers takes memory without bound."""

import pytest

from waybill.rest.serving import rate_limits
from waybill.rest.serving.rate_limits import Counted, Policy, RateLimits, caller_key

ANN, BOB = caller_key("ann", "192.0.2.1"), caller_key("bob", "192.0.2.1")
POLICY = Policy(3, 60)
NOW = float(POLICY.begin(ANN, 1_800_000_000))


def use_up(limits: RateLimits, now: float = NOW) -> None:
    assert [limits.admit(ANN, now).admitted for _ in range(4)] == [True, True, True, False]


def test_a_caller_is_refused_after_its_quota_until_its_window_ends_and_others_are_not():
    limits = RateLimits(POLICY)
    use_up(limits)
    assert limits.admit(BOB, NOW).admitted
    assert not limits.admit(ANN, NOW + 59.9).admitted
    use_up(limits, NOW + 60)


def test_every_answer_tells_the_policy_and_what_is_left_as_structured_fields():
    limits = RateLimits(POLICY)
    assert limits.admit(ANN, NOW + 17.5).headers() == [
        (b"RateLimit-Policy", b'"caller";q=3;w=60'),
        (b"RateLimit", b'"caller";r=2;t=43'),
    ]


def test_a_refusal_tells_when_to_come_again():
    limits = RateLimits(POLICY)
    use_up(limits)
    problem = limits.admit(ANN, NOW + 30).problem()
    assert (problem.status, str(problem.code), problem.headers) == (429, "rate_limited", {"Retry-After": "30"})


def test_what_other_processes_counted_counts_here_and_is_not_counted_twice():
    limits, window = RateLimits(POLICY), int(NOW)
    limits.admit(ANN, NOW)
    reported = limits.unreported()
    assert reported == [Counted(ANN, window, 1)]
    limits.learn(reported, [Counted(ANN, window, 2)])  # one of them was this process's
    assert limits.unreported() == []
    assert [limits.admit(ANN, NOW).admitted for _ in range(2)] == [True, False]
    limits.learn(limits.unreported(), [Counted(ANN, window, 3)])
    assert limits.admit(ANN, NOW).remaining == 0
    use_up(limits, NOW + 60)


def test_what_was_counted_and_not_reported_is_reported_later():
    limits = RateLimits(POLICY)
    limits.admit(ANN, NOW)
    assert limits.unreported()  # and the database did not answer
    limits.admit(ANN, NOW)
    assert limits.unreported() == [Counted(ANN, int(NOW), 2)]


def test_a_report_of_a_window_that_is_over_changes_nothing():
    limits = RateLimits(POLICY)
    limits.admit(ANN, NOW)
    reported = limits.unreported()
    limits.admit(ANN, NOW + 60)
    limits.learn(reported, [Counted(ANN, int(NOW), 50)])
    assert limits.admit(ANN, NOW + 60).remaining == 1
    assert limits.unreported() == [Counted(ANN, int(NOW) + 60, 2)]


def test_callers_without_number_are_kept_within_bounds_and_the_newest_stay(monkeypatch):
    monkeypatch.setattr(rate_limits, "MOST_CALLERS", 100)
    limits = RateLimits(POLICY)
    use_up(limits)
    for number in range(1_000):
        limits.admit(caller_key(None, f"198.51.100.{number}"), NOW)
        assert not limits.admit(ANN, NOW).admitted  # who keeps coming is not forgotten
    assert len(limits.unreported()) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_an_address_is_a_caller_and_of_ipv6_a_network_is(one: str, other: str, same: bool):
    assert (caller_key(None, one) == caller_key(None, other)) is same


def test_a_subject_that_looks_like_an_address_is_another_caller():
    assert caller_key("192.0.2.1", "192.0.2.1") != caller_key(None, "192.0.2.1")
