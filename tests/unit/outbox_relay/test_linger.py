"""When a relay changes its linger."""

from outbox_relay.relay.kafka.linger import BACKLOG_PAGES, CAUGHT_UP_SECONDS, Linger


def catching_up(*, fixed: bool = False) -> Linger:
    linger = Linger(fixed=fixed)
    for _ in range(BACKLOG_PAGES):
        linger.read(1.0, full=True)
    return linger


def test_a_relay_that_keeps_up_makes_no_record_wait():
    assert (Linger().milliseconds, Linger().must_change(100.0)) == (0, False)


def test_a_long_backlog_asks_for_larger_requests():
    linger = catching_up()
    assert linger.must_change(1.0)
    assert linger.change() == "catching up"
    assert linger.milliseconds > 0
    assert not linger.must_change(1.0)


def test_full_pages_now_and_then_are_no_backlog():
    linger = Linger()
    for number in range(5 * BACKLOG_PAGES):
        linger.read(1.0, full=number % BACKLOG_PAGES != 0)
        assert not linger.must_change(1.0)


def test_the_end_of_a_backlog_has_to_last():
    linger = catching_up()
    linger.change()
    linger.read(1.5, full=False)
    linger.read(2.0, full=True)
    linger.read(2.5, full=False)
    assert not linger.must_change(2.5 + CAUGHT_UP_SECONDS)
    linger.read(2.6, full=False)
    assert linger.must_change(2.6 + CAUGHT_UP_SECONDS)
    assert (linger.change(), linger.milliseconds) == ("keeping up again", 0)
    assert not linger.must_change(2.6 + CAUGHT_UP_SECONDS)


def test_a_broker_that_was_away_is_no_end_of_a_backlog():
    linger = catching_up()
    linger.change()
    assert not linger.must_change(1_000.0)


def test_a_fixed_pace_is_never_wrong():
    assert not catching_up(fixed=True).must_change(1.0)
