"""Published events are sent again, on record, by a job that survives whatever ends its process."""

import signal
from collections.abc import Iterator, Sequence

import psycopg
import pytest

from devstack.harness.databases import ServiceDatabase
from devstack.harness.wait import wait_until
from tests.support.outbox_command import AWAY, Ended, join, outbox, settings
from tests.support.relays import Outbox, Record, append, read_topic, relay
from tests.support.replaying import EVERYTHING, WHY, copies, here, jobs, passed_over, running, sent

REPLAY_HEADERS = {"ce_replayid", "ce_replaytarget", "ce_replayreprocess", "ce_replayeffects"}


def replay(own: Outbox, *arguments: str, **databases: str) -> Ended:
    return outbox("replay", "--json", *arguments, **here(own, **databases))


def published(own: Outbox, count: int = 6) -> list[str]:
    """Publish versions of two aggregates in turn; returns the events' ids by position."""
    with own.connect() as writer, relay(own):
        for number in range(count):
            append(writer, own.topic, "ab"[number % 2], number // 2 + 1, metadata={"correlation_id": "c"})
        own.wait_for_cursor(count)
    return [str(event_id) for (event_id,) in own.execute("SELECT event_id FROM waybill_outbox ORDER BY position")]


def plain(record: Record) -> tuple[str, bytes, dict[str, str]]:
    """The record but for what a replay adds."""
    kept = {name: value for name, value in record.headers.items() if name not in REPLAY_HEADERS}
    return record.key, record.value, kept


def actions(own: Outbox) -> list[tuple]:
    return own.execute("SELECT operator, verb, reason, what FROM waybill_operator_action ORDER BY id")


def test_a_dry_run_says_what_would_go_where_and_what_is_left_out_and_sends_nothing(own_outbox: Outbox):
    ids = published(own_outbox)
    with own_outbox.connect() as writer:
        append(writer, None, "a", 4)
        append(writer, own_outbox.topic, "a", 5)
    own_outbox.execute("UPDATE waybill_outbox_cursor SET missing = '{4,4}'")
    own_outbox.execute(
        "INSERT INTO published (id, destination, body, added, expires_at, retry, status, headers)"
        " VALUES (%s, 't', '{}', now(), now(), 0, -1, '{}')",
        ids[1],
    )
    done = replay(own_outbox, *EVERYTHING)
    found = {(line["goes"], line["topic"]): (line["events"], line["first"], line["last"]) for line in done.lines()}
    assert done.code == 0
    assert found == {
        ("to all", own_outbox.topic): (4, 1, 6),
        ("nowhere: dead letter", own_outbox.topic): (1, 2, 2),
        ("nowhere: waiting", own_outbox.topic): (2, 4, 8),
        ("nowhere: private", None): (1, 7, 7),
    }
    assert "dry run: 4 events" in done.err
    assert (jobs(own_outbox), actions(own_outbox)) == ([], [])
    assert copies(own_outbox) == []
    assert replay(own_outbox, *EVERYTHING, *WHY).code == 0
    assert [
        record.headers["ce_id"] for record in sorted(copies(own_outbox), key=lambda one: one.headers["ce_time"])
    ] == [
        ids[0],
        ids[2],
        ids[4],
        ids[5],
    ]


def test_what_is_sent_again_is_the_same_record_with_the_id_of_its_replay(own_outbox: Outbox):
    published(own_outbox)
    before = read_topic(own_outbox.kafka, own_outbox.topic)
    done = replay(own_outbox, *EVERYTHING, *WHY)
    (job,) = done.lines()
    assert (done.code, job["state"], job["sent"], job["total"]) == (0, "done", 6, 6)
    found = copies(own_outbox)
    assert sorted(map(plain, found), key=repr) == sorted(map(plain, before), key=repr)
    assert [record.version for record in found if record.key == "a"] == [1, 2, 3]
    assert {name for record in found for name in record.headers} & REPLAY_HEADERS == {"ce_replayid"}
    assert {record.headers["ce_replayid"] for record in found} == {job["job"]}


def test_who_replayed_what_when_and_why_is_on_record(own_outbox: Outbox):
    published(own_outbox)
    done = replay(own_outbox, "--aggregate", "order/b", "--rate", "1000", "--by", "ann", *WHY)
    (job,) = done.lines()
    ((operator, verb, reason, what),) = actions(own_outbox)
    assert (operator, verb, reason) == ("ann", "replay", "the broker lost its tail")
    assert (what["job"], what["total"], what["first"], what["last"]) == (job["job"], 3, 2, 6)
    assert (what["aggregate_type"], what["aggregate_id"], what["rate"]) == ("order", "b", 1000)
    (listed,) = jobs(own_outbox)
    assert (listed["created_by"], listed["reason"], listed["state"], listed["sent"]) == ("ann", reason, "done", 3)
    assert "the broker lost its tail" in outbox("jobs", **here(own_outbox)).out


def test_a_replay_to_one_group_names_it_and_what_it_shall_do(own_outbox: Outbox):
    published(own_outbox, 1)
    join(own_outbox.kafka, "billing", own_outbox.topic)
    to_one = ["--to-consumer", "billing", *EVERYTHING, *WHY]
    replay(own_outbox, *to_one)
    replay(own_outbox, "--reprocess", "--with-effects", *to_one)
    named, told = (
        {name: value for name, value in record.headers.items() if name in REPLAY_HEADERS - {"ce_replayid"}}
        for record in copies(own_outbox)
    )
    assert named == {"ce_replaytarget": "billing"}
    assert told == {"ce_replaytarget": "billing", "ce_replayreprocess": "true", "ce_replayeffects": "true"}


def test_filters_combine(own_outbox: Outbox):
    ids = published(own_outbox)
    chosen = [("--event", ids[number]) for number in (1, 2, 5)]
    wanted = [word for pair in chosen for word in pair]
    (line,) = replay(own_outbox, *wanted, "--aggregate", "b", "--type", "OrderPlaced", "--since", "1h").lines()
    assert (line["events"], line["first"], line["last"]) == (2, 2, 6)
    (line,) = replay(own_outbox, *wanted, "--positions", "3..6").lines()
    assert (line["events"], line["first"], line["last"]) == (2, 3, 6)
    assert replay(own_outbox, *wanted, "--until", "1h").out == ""
    done = replay(own_outbox, *wanted, "--positions", "3..6", "--aggregate", "b", *WHY)
    assert (done.code, [record.headers["ce_id"] for record in copies(own_outbox)]) == (0, [ids[5]])


def test_an_event_that_is_nowhere_is_named(own_outbox: Outbox):
    passed_over(own_outbox, 1)
    done = replay(own_outbox, "--event", "0198c0de-7000-7000-8000-000000000001", *WHY)
    assert (done.code, done.out) == (1, "")
    assert "no event 0198c0de-7000-7000-8000-000000000001 in order" in done.err


def test_killed_between_the_acknowledgement_and_its_record_a_job_repeats_that_batch_and_leaves_no_hole(
    own_outbox: Outbox,
):
    passed_over(own_outbox, 30)
    with running(own_outbox, *EVERYTHING, *WHY, "--rate", "50") as process:
        wait_until(lambda: sent(own_outbox) >= 5, deadline_seconds=20, what="a batch is durable", every_seconds=0.01)
        with psycopg.connect(own_outbox.database.superuser_url) as holding:
            holding.execute("SELECT 1 FROM waybill_replay_job FOR UPDATE")
            waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'outbox' AND wait_event_type = 'Lock'"
            ((session,),) = wait_until(
                lambda: own_outbox.execute(waiting), deadline_seconds=20, what="a batch is acknowledged"
            )
            process.kill()
            process.wait(10)
            own_outbox.execute("SELECT pg_terminate_backend(%s)", session)
    (stopped,) = jobs(own_outbox)
    assert (stopped["state"], stopped["total"]) == ("stopped", 30)
    arrived = len(copies(own_outbox))
    assert arrived == stopped["sent"] + 5
    done = replay(own_outbox, "--resume", stopped["id"], "--rate", "1000", "--by", "bob")
    assert (done.code, done.lines()[0]["state"], done.lines()[0]["sent"]) == (0, "done", 30)
    found = [record.headers["ce_id"] for record in copies(own_outbox)]
    assert (len(set(found)), len(found)) == (30, 35)
    made, resumed = actions(own_outbox)
    assert (resumed[0], resumed[3]["job"], resumed[3]["rate"]) == ("bob", made[3]["job"], 1000)


def test_two_processes_cannot_send_one_job_at_once(own_outbox: Outbox):
    passed_over(own_outbox, 1000)
    with running(own_outbox, *EVERYTHING, *WHY, "--rate", "10") as process:
        wait_until(lambda: sent(own_outbox) > 0, deadline_seconds=20, what="the first event is sent")
        (job,) = jobs(own_outbox)
        assert job["state"] == "running"
        second = replay(own_outbox, "--resume", job["id"])
        assert (second.code, len(second.err.splitlines())) == (2, 1)
        assert f"job {job['id']} is sent by another process" in second.err
        process.kill()


def test_ctrl_c_stops_after_the_batch_in_flight_and_says_how_to_go_on(own_outbox: Outbox):
    passed_over(own_outbox, 40)
    with running(own_outbox, *EVERYTHING, *WHY, "--rate", "10") as process:
        wait_until(lambda: sent(own_outbox) > 0, deadline_seconds=20, what="the first event is sent")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[1]
        assert (process.returncode, len(said.splitlines())) == (130, 1)
    (job,) = jobs(own_outbox)
    assert f"outbox replay --resume {job['id']}" in said
    assert (job["state"], job["sent"]) == ("stopped", len(copies(own_outbox)))
    assert replay(own_outbox, "--resume", job["id"], "--rate", "1000").code == 0
    assert len(copies(own_outbox)) == 40
    again = replay(own_outbox, "--resume", job["id"])
    assert (again.code, len(copies(own_outbox))) == (0, 40)


def test_no_more_than_the_rate_is_sent(own_outbox: Outbox):
    passed_over(own_outbox, 30)
    assert replay(own_outbox, *EVERYTHING, *WHY, "--rate", "20").code == 0
    ((seconds,),) = own_outbox.execute("SELECT date_part('epoch', finished_at - created_at) FROM waybill_replay_job")
    assert seconds >= 1.4  # 15 batches of 2, a tenth of a second apart


def test_what_commits_late_is_not_part_of_a_job_that_was_made_before(own_outbox: Outbox):
    with own_outbox.connect() as writer, own_outbox.connect(autocommit=False) as late:
        append(writer, own_outbox.topic, "a", 1)
        append(late, own_outbox.topic, "late", 1)
        append(writer, own_outbox.topic, "b", 1)
        own_outbox.execute("UPDATE waybill_outbox_cursor SET position = 3, missing = '{2,2}'")
        away = outbox("replay", *EVERYTHING, *WHY, **settings("127.0.0.1:1", order=own_outbox.database.service_url))
        assert (away.code, away.out, len(away.err.splitlines())) == (4, "", 1)
        late.commit()
    own_outbox.execute("UPDATE waybill_outbox_cursor SET position = 3, missing = '{}'")
    (job,) = jobs(own_outbox)
    assert f"outbox replay --resume {job['id']}" in away.err
    assert replay(own_outbox, "--resume", job["id"]).lines()[0]["sent"] == 2
    assert {record.key for record in copies(own_outbox)} == {"a", "b"}


@pytest.fixture
def inventory(database_server) -> Iterator[ServiceDatabase]:
    """The database of a service that reacts to placed orders; its inbox forgets after three days."""
    with database_server.fresh("inventory_service") as database:
        with psycopg.connect(database.superuser_url, autocommit=True) as session:
            session.execute(
                "INSERT INTO received (id, msg_id, added, expires_at, retry, status)"
                " VALUES (gen_random_uuid(), 'inventory_service:1', now(), now() + interval '3 days', 0, 2)"
            )
        yield database


@pytest.mark.slow
def test_a_replay_beyond_an_inbox_memory_is_refused_unless_it_is_meant(own_outbox: Outbox, inventory: ServiceDatabase):
    passed_over(own_outbox, 2)
    join(own_outbox.kafka, "billing", own_outbox.topic)
    own_outbox.execute("UPDATE waybill_outbox SET recorded_at = now() - interval '4 days' WHERE position = 1")

    def tried(*arguments: str) -> Ended:
        return replay(own_outbox, *arguments, *WHY, inventory=inventory.service_url)

    refused = tried(*EVERYTHING)
    assert (refused.code, refused.out, len(refused.err.splitlines())) == (2, "", 1)
    assert "the inbox of inventory forgets after 3 days" in refused.err
    assert tried(*EVERYTHING, "--to-consumer", "inventory_service").code == 2
    assert (jobs(own_outbox), copies(own_outbox)) == ([], [])
    warned = replay(own_outbox, *EVERYTHING, inventory=inventory.service_url)
    assert (warned.code, "would be refused: the inbox of inventory" in warned.err) == (0, True)
    assert tried("--since", "3d", "--positions", "2").code == 0
    assert tried(*EVERYTHING, "--to-consumer", "billing").code == 0
    assert tried(*EVERYTHING, "--to-consumer", "inventory_service", "--reprocess").code == 0


def test_a_job_that_was_resumed_too_late_is_refused_too(own_outbox: Outbox, inventory: ServiceDatabase):
    passed_over(own_outbox, 1)
    place = {"order": own_outbox.database.service_url, "inventory": inventory.service_url}
    assert outbox("replay", *EVERYTHING, *WHY, **settings("127.0.0.1:1", **place)).code == 4
    own_outbox.execute("UPDATE waybill_outbox SET recorded_at = now() - interval '4 days'")
    (job,) = jobs(own_outbox)
    late = replay(own_outbox, "--resume", job["id"], inventory=inventory.service_url)
    assert (late.code, len(late.err.splitlines()), copies(own_outbox)) == (2, 1, [])


def test_a_stopped_job_can_be_given_up_on_record_and_is_not_resumed(own_outbox: Outbox):
    passed_over(own_outbox, 2)
    place = settings("127.0.0.1:1", order=own_outbox.database.service_url)
    assert outbox("replay", *EVERYTHING, *WHY, **place).code == 4
    (job,) = jobs(own_outbox)
    assert replay(own_outbox, "--abandon", job["id"]).code == 2
    given_up = replay(own_outbox, "--abandon", job["id"], "--reason", "not needed any more", "--by", "ann")
    assert (given_up.code, [line["state"] for line in given_up.lines()]) == (0, ["abandoned"])
    operator, verb, reason, what = actions(own_outbox)[-1]
    assert (operator, verb, reason) == ("ann", "replay", "not needed any more")
    assert what == {"job": job["id"], "abandoned": True, "position": 0, "sent": 0, "total": 2}
    resumed = replay(own_outbox, "--resume", job["id"])
    assert (resumed.code, copies(own_outbox)) == (1, [])
    assert f"job {job['id']} is abandoned: 0 of 2 events were sent" in resumed.err
    assert outbox("status", "--json", **here(own_outbox)).lines()[0]["jobs"] == 0


def test_a_job_that_another_process_sends_is_not_given_up(own_outbox: Outbox):
    passed_over(own_outbox, 20)
    with running(own_outbox, *EVERYTHING, *WHY, "--rate", "1"):
        wait_until(lambda: [j["state"] for j in jobs(own_outbox)] == ["running"], deadline_seconds=30, what="it runs")
        (job,) = jobs(own_outbox)
        refused = replay(own_outbox, "--abandon", job["id"], "--reason", "not needed any more")
        assert (refused.code, "sent by another process" in refused.err) == (2, True)


def test_an_inbox_that_does_not_answer_stops_a_replay_that_relies_on_it(own_outbox: Outbox):
    passed_over(own_outbox, 1)
    done = replay(own_outbox, *EVERYTHING, *WHY, "--service", "order", inventory=AWAY)
    assert (done.code, done.out, len(done.err.splitlines()), jobs(own_outbox)) == (4, "", 1, [])
    assert "database inventory: " in done.err


def test_a_topic_that_takes_no_such_record_stops_the_job_before_it(own_outbox: Outbox):
    passed_over(own_outbox, 1)
    own_outbox.execute("UPDATE waybill_outbox SET topic = topic || '.gone'")
    done = replay(own_outbox, *EVERYTHING, *WHY)
    (job,) = jobs(own_outbox)
    assert (done.code, len(done.err.splitlines()), job["state"]) == (4, 1, "stopped")
    assert "does not exist; create it with: python -m waybill contracts topics" in done.err
    assert f"--resume {job['id']}" in done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "choose what to replay: --aggregate"),
        (["--execute", *EVERYTHING], "--execute needs --reason"),
        (["--type", "OrderPlacd"], "no event type 'OrderPlacd'; known are OrderPlaced"),
        (["--event", "12"], "'12' is no event id"),
        (["--reprocess", *EVERYTHING], "--reprocess needs --to-consumer"),
        (["--rate", "0", *EVERYTHING], "0 is below 1"),
        (["--resume", "7"], "'7' is no job id"),
        (["--resume", "0198c0de-7000-7000-8000-000000000001", "--type", "OrderPlaced"], "leave out --type"),
    ],
)
def test_what_makes_no_sense_is_one_line_that_names_it(arguments: Sequence[str], says: str):
    done = outbox("replay", *arguments, **settings(order=AWAY))
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert says in done.err


def test_the_name_that_operators_give_a_service_is_not_taken_for_its_group(own_outbox: Outbox):
    named = settings(order=own_outbox.database.service_url)
    done = outbox("replay", "--to-consumer", "order", *EVERYTHING, **named)
    assert (done.code, done.out) == (2, "")
    assert "the group of that service is order_service" in done.err


@pytest.mark.slow
def test_a_group_that_nobody_has_is_refused_with_those_that_are_near(own_outbox: Outbox):
    passed_over(own_outbox, 1)
    join(own_outbox.kafka, "warehouse-feed", own_outbox.topic)
    for more in ([], WHY):
        done = replay(own_outbox, *EVERYTHING, "--to-consumer", "warehouse-fed", *more)
        assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
        assert "no such consumer group; near are warehouse-feed" in done.err
    assert (jobs(own_outbox), copies(own_outbox)) == ([], [])
    away = outbox("replay", *EVERYTHING, "--to-consumer", "billing", **settings(order=own_outbox.database.service_url))
    assert (away.code, away.out) == (4, "")


def test_several_types_are_all_meant_and_kept_with_the_job(own_outbox: Outbox):
    kinds = ["OrderPlaced", "OrderConfirmed", "OrderReserved"]
    with own_outbox.connect() as writer:
        for version, kind in enumerate(kinds, 1):
            append(writer, own_outbox.topic, "a", version, event_type=f"waybill.order.{kind}")
    for schema_id, kind in enumerate(kinds, 77):
        values = (f"waybill.order.{kind}", 1, schema_id)
        own_outbox.execute("INSERT INTO waybill_schema_id VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", *values)
    own_outbox.execute("UPDATE waybill_outbox_cursor SET position = 3")
    two = ["--type", "OrderPlaced", "--type", "OrderReserved"]
    assert [e["position"] for e in outbox("list", "--json", *two, **here(own_outbox)).lines()] == [1, 3]
    (job,) = replay(own_outbox, *two, *WHY).lines()
    assert (job["sent"], [record.version for record in copies(own_outbox)]) == (2, [1, 3])
    assert jobs(own_outbox)[0]["event_types"] == ["waybill.order.OrderPlaced", "waybill.order.OrderReserved"]


def test_a_job_that_nobody_made_is_said_to_be_unknown(own_outbox: Outbox):
    done = replay(own_outbox, "--resume", "0198c0de-7000-7000-8000-000000000001")
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert "no job 0198c0de-7000-7000-8000-000000000001 in order; outbox jobs lists them" in done.err


def test_a_database_that_is_away_leaves_with_4():
    for arguments in (EVERYTHING, ["--resume", "0198c0de-7000-7000-8000-000000000001"]):
        done = outbox("replay", *arguments, **settings(order=AWAY))
        assert (done.code, done.out) == (4, "")


def test_the_client_of_kafka_is_set_by_its_properties_file_and_a_wrong_one_is_named(own_outbox: Outbox, tmp_path):
    passed_over(own_outbox, 1)
    file = tmp_path / "kafka.properties"
    for text, code, says in [
        ("security.protocol", 2, "line 1: 'security.protocol' is not name=value"),
        ("security.protocol = ssl", 4, "Kafka at "),  # the broker speaks plain text
        ("# nothing more", 0, ""),
    ]:
        file.write_text(text)
        done = outbox("replay", *EVERYTHING, *WHY, **here(own_outbox), WAYBILL_KAFKA_PROPERTIES_FILE=str(file))
        assert (done.code, says in done.err) == (code, True), done.err
