"""The yardsticks count what they say."""

from pathlib import PurePosixPath

from tests.support.yardsticks import Module, measured, ninetieth

DECIDER = """\
# Why.
def decide(command):
    match command:
        case 1:
            return "#"  # a trap
        case _:
            return None
"""


def test_a_module_is_counted_by_lines_functions_comments_and_wildcards():
    module = Module(PurePosixPath("order_service/domain.py"), DECIDER)
    assert (module.lines, list(module.functions()), module.comments(), module.wildcards()) == (7, [6], 2, 1)


def test_tests_and_migrations_are_not_counted():
    paths = ("waybill/a.py", "tests/b.py", "waybill/migrations/0001.py")
    assert measured([Module(PurePosixPath(path), DECIDER) for path in paths])[0] == ("modules", "", "1")


def test_nine_of_ten_do_not_exceed_the_ninetieth():
    assert ninetieth(range(1, 11)) == 9
    assert ninetieth([5]) == 5
