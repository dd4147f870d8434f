"""Which programs are missing, from what their rows say."""

from outbox_relay.operations.status import ProgramState, expected


def state(
    instance: str, running: float, heartbeat: float = 1, program: str = "worker", now: str = "working"
) -> ProgramState:
    return ProgramState(program, instance, now, None, running, heartbeat, running)


def left(*programs: ProgramState) -> set[str]:
    return {one.instance for one in expected(programs)}


def test_a_program_that_was_started_anew_replaces_the_one_that_died():
    assert left(state("killed", 100, 50), state("new", 49)) == {"new"}


def test_programs_that_ran_beside_one_that_died_do_not_replace_it():
    assert left(state("killed", 100, 50), state("beside", 60)) == {"killed", "beside"}


def test_one_replaces_one():
    assert left(state("a", 100, 50), state("b", 100, 40), state("new", 30)) == {"b", "new"}


def test_a_program_that_died_again_and_again_is_missing_once():
    assert left(state("first", 100, 80), state("second", 79, 60), state("third", 59, 40)) == {"third"}


def test_a_program_that_was_told_to_stop_is_not_missing_and_nor_is_the_one_that_it_replaced():
    assert left(state("killed", 100, 80), state("ended", 70, 40, now="stopped")) == set()


def test_another_kind_of_program_replaces_nothing():
    assert left(state("killed", 100, 50), state("new", 40, program="web")) == {"killed", "new"}
