"""Which missing positions may still appear: the rules one by one, and all of them against random histories."""

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from outbox_relay.relay.cursor import Cursor, Holders, PositionGap

NOBODY: Holders = frozenset()
WHOLE = None


def passing(cursor: Cursor, *visible: int, holders: Holders = NOBODY, seen_to: int | None = WHOLE) -> Cursor:
    return cursor.passing(visible, holders, seen_to, 0.0)


def held(*names: str) -> Holders:
    return frozenset(names)


def test_positions_in_a_row_leave_no_gap():
    assert passing(Cursor(0), 1, 2, 3) == Cursor(3)


def test_a_missing_position_is_a_gap_and_holds_nothing_up():
    cursor = passing(Cursor(0), 1, 3, 7)
    assert (cursor.position, cursor.missing) == (7, [2, 2, 4, 6])
    assert cursor.needs_holders


def test_a_gap_that_becomes_visible_is_closed():
    cursor = passing(Cursor(0), 1, 3).held_by(held("1/1"))
    assert passing(cursor, 2, 4, holders=held("1/1")) == Cursor(4)


def test_a_gap_stays_while_one_of_its_holders_is_left():
    cursor = passing(Cursor(0), 2).held_by(held("1/1", "2/1"))
    assert passing(cursor, holders=held("2/1", "3/1")).missing == [1, 1]


def test_a_gap_without_any_of_its_holders_is_dead_whoever_came_later():
    cursor = passing(Cursor(0), 2).held_by(held("1/1"))
    assert passing(cursor, holders=held("1/2", "3/1")) == Cursor(2)


def test_a_gap_whose_holders_are_not_written_down_is_never_dead():
    assert passing(passing(Cursor(0), 2)).missing == [1, 1]


def test_a_gap_may_appear_in_part_and_die_in_part():
    cursor = passing(Cursor(0), 10).held_by(held("1/1"))
    assert passing(cursor, 3, 5, holders=held("1/1")).missing == [1, 2, 4, 4, 6, 9]
    assert passing(cursor, 3, 5) == Cursor(10)


def test_nothing_is_proved_behind_the_cut_of_a_snapshot():
    cursor = passing(Cursor(0), 10).held_by(held("1/1"))
    assert passing(cursor, 3, 5, seen_to=5).missing == [6, 9]


def test_holders_are_written_down_once():
    cursor = passing(passing(Cursor(0), 2).held_by(held("1/1")), 4, holders=held("1/1")).held_by(held("1/1", "2/2"))
    assert [gap.holders for gap in cursor.gaps] == [held("1/1"), held("1/1", "2/2")]


def test_what_is_durable_comes_back_without_holders():
    cursor = passing(Cursor(0), 1, 3, 7).held_by(held("1/1"))
    assert Cursor.restored(7, cursor.missing, 5.0) == Cursor(
        7, (PositionGap(2, 2, None, 5.0), PositionGap(4, 6, None, 5.0))
    )


@dataclass
class Server:
    """A database in which transactions take positions, commit, and roll back, and the relay looks when it likes."""

    last: int = 0
    open: dict[str, list[int]] = field(default_factory=dict)
    visible: set[int] = field(default_factory=set)
    begun: int = 0

    @property
    def holders(self) -> Holders:
        return frozenset(self.open)

    def act(self, act: int) -> None:
        """Begin, write, commit or roll back, as the number says."""
        names = sorted(self.open)
        kind, which = act % 4, act // 4
        if kind == 0 or not names:
            self.begun += 1
            names = [f"1/{self.begun}"]
            self.open[names[0]] = []
            kind = 1
        name = names[which % len(names)]
        if kind == 1:
            count = 1 + which // 4
            self.open[name] += range(self.last + 1, self.last + 1 + count)
            self.last += count
        else:
            positions = self.open.pop(name)
            self.visible.update(positions if kind == 2 else ())


@given(
    st.lists(st.lists(st.integers(0, 63), max_size=6), max_size=40),
    st.integers(1, 3),
    st.sets(st.integers(0, 39)),
)
def test_every_committed_position_is_seen_once_and_no_gap_is_left_at_rest(
    rounds: list[list[int]], limit: int, restarts: set[int]
):
    """Between any two of the relay's looks at the server, anything may happen."""
    server, cursor, passed = Server(), Cursor(0), list[int]()
    durable: tuple[int, list[int]] = (0, [])

    def look(during: list[int]) -> None:
        nonlocal cursor, durable
        acts = iter(during)

        def meanwhile() -> None:
            for act in [next(acts, None), next(acts, None)]:
                if act is not None:
                    server.act(act)

        holders = server.holders
        meanwhile()
        missing = {position for gap in cursor.gaps for position in range(gap.first, gap.last + 1)}
        rows = sorted(p for p in server.visible if p > cursor.position or p in missing)[:limit]
        seen_to = rows[-1] if len(rows) == limit else WHOLE
        cursor = cursor.passing(rows, holders, seen_to, 0.0)
        passed.extend(rows)
        meanwhile()
        cursor = cursor.held_by(server.holders)
        meanwhile()
        durable = (cursor.position, cursor.missing)
        bounds = [0, *cursor.missing, cursor.position]
        assert all(one <= following for one, following in pairwise(bounds))

    for number, during in enumerate(rounds):
        look(during)
        if number in restarts:
            cursor = Cursor.restored(*durable, 0.0).held_by(server.holders)
    server.open.clear()
    for _ in range(len(server.visible) + 2):
        look([])
    assert sorted(passed) == sorted(server.visible)
    assert cursor.missing == []
