"""When a relay takes the other pace."""

from outbox_relay.relay.kafka.linger import BACKLOG_PAGES, KEPT_UP_SECONDS, Pace


def catching_up(*, fixed: bool = False) -> Pace:
    pace = Pace(fixed=fixed)
    for _ in range(BACKLOG_PAGES):
        pace.read(1.0, full=True)
    return pace


def test_a_relay_that_keeps_up_makes_no_record_wait():
    assert (Pace().linger_ms, Pace().is_wrong(100.0)) == (0, False)


def test_a_long_backlog_asks_for_larger_requests():
    pace = catching_up()
    assert pace.is_wrong(1.0)
    assert pace.change() == "catching up"
    assert pace.linger_ms > 0
    assert not pace.is_wrong(1.0)


def test_full_pages_now_and_then_are_no_backlog():
    pace = Pace()
    for number in range(5 * BACKLOG_PAGES):
        pace.read(1.0, full=number % BACKLOG_PAGES != 0)
        assert not pace.is_wrong(1.0)


def test_the_end_of_a_backlog_has_to_last():
    pace = catching_up()
    pace.change()
    pace.read(1.5, full=False)
    pace.read(2.0, full=True)
    pace.read(2.5, full=False)
    assert not pace.is_wrong(2.5 + KEPT_UP_SECONDS)
    pace.read(2.6, full=False)
    assert pace.is_wrong(2.6 + KEPT_UP_SECONDS)
    assert (pace.change(), pace.linger_ms) == ("keeping up again", 0)
    assert not pace.is_wrong(2.6 + KEPT_UP_SECONDS)


def test_a_broker_that_was_away_is_no_end_of_a_backlog():
    pace = catching_up()
    pace.change()
    assert not pace.is_wrong(1_000.0)


def test_a_fixed_pace_is_never_wrong():
    assert not catching_up(fixed=True).is_wrong(1.0)
