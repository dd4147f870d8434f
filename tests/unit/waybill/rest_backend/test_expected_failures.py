"""Django's tests that fail on services are listed by reason, and the list stays true."""

from tests.support.django_suites import page, suites, verdicts
from tests.support.django_suites.verdicts import Group, judge, learned

REFUSED = Group("annotate() is refused", (r"NotSupportedError: annotate\(",), frozenset({"a.T.refused"}))
COUNTED = Group("calls are counted", ("CallCount: ",), frozenset({"a.T.counted", "a.T.refused_and_counted"}))
BY_HAND = Group("SQL is read", ("AssertionError: ",), frozenset({"a.T.reads_sql"}), by_hand=True)
GROUPS = [REFUSED, COUNTED, BY_HAND]
ANNOTATED, CALLS, WRONG = "NotSupportedError: annotate(n)", "CallCount: 2 calls, 1 expected", "AssertionError: 1 != 2"


def test_a_listed_test_that_raises_its_groups_error_is_expected_to_fail():
    found = judge({"a.T.refused": [ANNOTATED], "a.T.passes": [], "a.T.counted": [CALLS]}, ["a.T.left_out"], GROUPS)
    assert (found.passed, dict(found.expected), found.skipped) == (1, {REFUSED.reason: 1, COUNTED.reason: 1}, 1)
    assert not found.failures


def test_a_wrong_answer_an_unlisted_error_and_an_unexpected_success_are_failures():
    ran = {"a.T.refused": [WRONG, ANNOTATED], "a.T.other": [ANNOTATED], "a.T.counted": []}
    found = judge(ran, [], GROUPS)
    assert found.failures == {
        "a.T.refused": [WRONG],
        "a.T.other": [ANNOTATED],
        "a.T.counted": [f"expected to fail ({COUNTED.reason}), and it does not"],
    }
    assert (found.passed, found.expected.total()) == (0, 0)


def test_a_listed_test_that_is_not_there_is_a_failure():
    assert verdicts.stale(["a.T.counted", "a.T.reads_sql"], ["a"], GROUPS).keys() == {
        "a.T.refused",
        "a.T.refused_and_counted",
    }
    assert not verdicts.stale([], ["b"], GROUPS)


def test_tests_get_into_groups_by_their_errors_but_for_errors_that_could_be_faults():
    ran = {"a.T.new": [ANNOTATED, CALLS], "a.T.wrong": [WRONG], "a.T.mixed": [ANNOTATED, WRONG], "a.T.counted": []}
    refused, counted, by_hand = (group.tests for group in learned(ran | {"a.T.reads_sql": [WRONG]}, GROUPS))
    assert (refused, counted, by_hand) == ({"a.T.new"}, {"a.T.new"}, {"a.T.reads_sql"})


def test_the_page_has_every_suite_and_the_reasons_of_the_list():
    text, groups = page.read(), verdicts.read()
    counts = page.kept(text)
    assert tuple(counts) == suites.SUITES
    for suite, (_, expected, _) in counts.items():
        listed = {test for group in groups for test in group.tests if test.startswith(f"{suite}.")}
        assert expected == len(listed), f"{suite}: make django-suites ARGS='--only {suite} --write'"
    assert "\n".join(page.reasons(groups)) in text
