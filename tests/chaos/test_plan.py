"""Every fault comes three times where there is time for it, the same seed gives the same plan."""

from collections import Counter
from random import Random

from tests.chaos.faults import catalogue
from tests.chaos.plan import TIMES, duration, steps


def test_a_long_run_has_every_fault_three_times_and_two_at_once_later():
    planned = steps(catalogue(), 7_200, Random(1))
    times = Counter(fault.name for step in planned for fault in step)
    assert set(times) == {fault.name for fault in catalogue()}
    assert min(times.values()) >= TIMES
    assert sum(map(duration, planned)) < 7_200 + 60
    alone = 2 * len(catalogue())
    assert {len(step) for step in planned[:alone]} == {1}
    assert {len(step) for step in planned[alone : alone + 10]} == {2}


def test_a_short_run_has_every_quick_fault_and_keeps_to_its_time():
    planned = steps(catalogue(), 180, Random(1))
    assert {fault.name for step in planned for fault in step} == {f.name for f in catalogue() if f.is_quick}
    assert sum(map(duration, planned)) <= 180


def test_a_run_of_ten_minutes_has_every_fault():
    planned = steps(catalogue(), 600, Random(1))
    assert {fault.name for step in planned for fault in step} == {fault.name for fault in catalogue()}
    assert sum(map(duration, planned)) <= 600


def test_a_short_run_of_slow_faults_has_what_fits_and_at_least_one():
    slow = [fault for fault in catalogue() if not fault.is_quick]
    assert 0 < sum(map(duration, steps(slow, 60, Random(1)))) <= 60
    assert len(steps(slow, 1, Random(1))) == 1


def test_a_seed_gives_one_plan():
    def names(seed: int) -> list[tuple[str, ...]]:
        return [tuple(fault.name for fault in step) for step in steps(catalogue(), 180, Random(seed))]

    assert names(1) == names(1) != names(2)
