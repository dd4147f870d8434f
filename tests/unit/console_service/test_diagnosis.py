"""What the overview says is wrong: asked in the background, and never shown where it is too old."""

import threading
from collections.abc import Callable, Sequence

from console_service.web.diagnosis import Doctor
from devstack.harness.wait import wait_until
from outbox_relay.operations.diagnosis.finding import Finding, Problem, finding


def found(says: str) -> list[Finding]:
    return [finding(Problem.NO_RELAY, "order", says, None, 1, "outbox status")]


def says(doctor: Doctor) -> Callable[[], list[str] | None]:
    def now() -> list[str] | None:
        findings = doctor.latest().findings
        return None if findings is None else [one.says for one in findings]

    return now


class Questions:
    """Answers in turn; each but the first waits until it is let go."""

    def __init__(self) -> None:
        self.asked = 0
        self.go = threading.Event()

    def __call__(self) -> Sequence[Finding]:
        self.asked += 1
        if self.asked > 1:
            assert self.go.wait(30)
        return found(f"answer {self.asked}")


def test_an_answer_that_is_too_old_is_not_shown_while_the_next_is_on_its_way():
    questions = Questions()
    doctor = Doctor(questions, 0.05, oldest_seconds=0.05)
    assert says(doctor)() == ["answer 1"]
    wait_until(lambda: says(doctor)() is None, deadline_seconds=20, what="the old answer is gone")
    questions.go.set()
    wait_until(lambda: says(doctor)() not in (None, ["answer 1"]), deadline_seconds=20, what="a new answer")


def test_a_doctor_that_asks_seldom_shows_its_answer_until_it_asks_anew():
    questions = Questions()
    doctor = Doctor(questions, 3600, oldest_seconds=0.0)
    assert [says(doctor)() for _ in range(3)] == [["answer 1"]] * 3
    assert questions.asked == 1


def test_a_question_that_fails_is_no_answer_and_is_asked_again():
    tries: list[int] = []

    def question() -> Sequence[Finding]:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no route")
        return []

    doctor = Doctor(question, 0.05)
    assert says(doctor)() is None
    wait_until(lambda: says(doctor)() == [], deadline_seconds=20, what="the second answer")


def test_nobody_is_asked_where_that_is_off():
    questions = Questions()
    assert Doctor(questions, 0).latest().findings is None
    assert questions.asked == 0
