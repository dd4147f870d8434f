"""No caller gets more than its quota, whichever process it asks and whoever it says that it is."""

from collections.abc import Iterator

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.attacker import Answer, Attacker
from tests.support.programs import Program, program

QUOTA = 20
LIMITED = {"WAYBILL_RATE_LIMIT": str(QUOTA), "WAYBILL_RATE_LIMIT_SECONDS": "86400"}
PATH = "/v1/orders?limit=1"


@pytest.fixture(scope="module")
def pair(own_database: ServiceDatabase) -> Iterator[list[Program]]:
    with (
        program("web", own_database.service_url, **LIMITED) as one,
        program("web", own_database.service_url, **LIMITED) as two,
    ):
        one.wait_for("readiness", lambda: one.unready() is None, 60)
        two.wait_for("readiness", lambda: two.unready() is None, 60)
        yield [one, two]


def caller(program: Program, subject: str) -> Attacker:
    return Attacker(program, program.token("orders", subject))


def read(attacker: Attacker, **headers: str) -> Answer:
    return attacker.say(attacker.head(path=PATH, **headers))


def assert_refused(refused: Answer) -> None:
    refused.assert_problem(429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    assert refused.headers["ratelimit-policy"] == f'"caller";q={QUOTA};w=86400'
    assert refused.headers["ratelimit"] == f'"caller";r=0;t={refused.headers["retry-after"]}'


def test_a_caller_that_used_up_its_quota_at_one_process_is_refused_by_the_other(pair):
    one, two = (caller(running, "greedy") for running in pair)
    statuses = [read(one).status for _ in range(QUOTA + 1)]
    assert statuses == [200] * QUOTA + [429]
    assert_refused(read(one))
    wait_until(lambda: read(two).status == 429, deadline_seconds=10, what="refused by the other process")
    assert_refused(read(two))
    assert read(caller(pair[1], "patient")).headers["ratelimit"].startswith(f'"caller";r={QUOTA - 1};t=')


def test_headers_that_name_another_address_and_tokens_that_prove_nothing_give_no_new_quota(pair):
    stranger = Attacker(pair[0], "e30.e30.e30")
    answers = [
        read(Attacker(pair[0], f"e30.e30.{n}"), x_forwarded_for=f"198.51.100.{n}", forwarded=f"for=198.51.100.{n}")
        for n in range(QUOTA + 1)
    ]
    assert [one.status for one in answers] == [401] * QUOTA + [429]
    assert_refused(read(stranger))
    assert read(caller(pair[0], "somebody")).status == 200  # of the same address, with a token


def test_who_is_not_let_in_for_now_acts_on_nothing_and_health_answers(pair):
    one = caller(pair[0], "eager")
    assert {read(one).status for _ in range(QUOTA)} == {200}
    assert_refused(one.say(one.post(b'{"lines": [{"sku": "LAMP", "quantity": 1}], "payment_method": "tok_ok"}')))
    assert_refused(one.say(one.head("POST", content_length="40"), seconds=5))  # the body is not waited for
    assert pair[0].ask("/readyz")[0] == 200
    assert 'http_refused_total{reason="rate_limited"}' in pair[0].ask("/metrics")[1]


def test_each_process_goes_by_its_own_count_while_the_table_cannot_be_written(pair, own_database):
    """Reads go on, and the quota still holds within a process."""
    one = caller(pair[0], "lucky")

    def failures() -> float:
        lines = pair[0].ask("/metrics")[1].splitlines()
        return float(next(line for line in lines if line.startswith("http_rate_limit_report_failures")).split()[1])

    with psycopg.connect(own_database.superuser_url, autocommit=True) as session:
        session.execute("ALTER TABLE waybill_rate_limit RENAME TO gone")
        try:
            assert read(one).status == 200
            wait_until(lambda: failures() > 0, deadline_seconds=10, what="a failed report")
            assert [read(one).status for _ in range(QUOTA)] == [200] * (QUOTA - 1) + [429]
        finally:
            session.execute("ALTER TABLE gone RENAME TO waybill_rate_limit")
    two = caller(pair[1], "lucky")
    wait_until(lambda: read(two).status == 429, deadline_seconds=10, what="shared again")
