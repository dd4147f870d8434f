"""Whatever bytes a record has, what people and the database read of it is plain text, and the bytes are kept."""

import json

from hypothesis import given
from hypothesis import strategies as st

from waybill.consumer.message import Message, readable
from waybill.inbox.inbox import read_stored, stored

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"))  # a client takes a name from a C string
MESSAGES = st.builds(
    Message,
    topic=st.just("any.events.v1"),
    partition=st.just(3),
    offset=st.integers(0, 2**63 - 1),
    raw_key=st.none() | st.binary(),
    raw_headers=st.lists(st.tuples(NAMES, st.none() | st.binary())).map(tuple),
    value=st.none() | st.binary(),
    timestamp_ms=st.integers(-1, 2**63 - 1),
)


def of_key(key: bytes | None) -> Message:
    return Message("any.events.v1", 0, 0, key, (), b"", 0)


@given(MESSAGES, st.text(st.characters()))
def test_a_dead_letter_comes_back_as_it_came(message: Message, reason: str):
    headers, body = json.loads(json.dumps(stored("any_service", message, reason)))
    assert read_stored(headers, body) == message


@given(MESSAGES, st.text(st.characters()))
def test_what_is_kept_of_it_is_text_that_postgresql_takes(message: Message, reason: str):
    kept = json.dumps(stored("any_service", message, reason))
    assert r"\u0000" not in kept.replace(r"\\", "")
    headers, _ = stored("any_service", message, reason)
    for text in (headers["key"], headers["reason"], *headers["record"], *headers["record"].values()):
        assert text.isprintable()


@given(st.binary(), st.binary())
def test_two_keys_are_never_shown_as_the_same(one: bytes, other: bytes):
    assert (of_key(one).key == of_key(other).key) == (one == other)


def test_invalid_keys_that_would_look_alike_differ():
    keys = [b"\xff", b"\xfe", rb"\xff", b"\x00", rb"\x00", "\N{REPLACEMENT CHARACTER}".encode()]
    assert len({of_key(key).key for key in keys}) == len(keys)


def test_an_ordinary_key_stands_as_it_is_and_a_long_one_is_cut():
    assert of_key("Lämp 01\\a".encode()).key == "Lämp 01\\a"
    assert len(of_key(b"k" * 6_000).key) < 300
    assert of_key(b"k" * 6_000).key != of_key(b"k" * 6_001).key


def test_a_dead_letter_of_an_earlier_release_is_read():
    headers = {"place": "any.events.v1/3/7", "key": "k", "record": {"ce_id": "x"}, "reason": "", "consumer": "any"}
    assert read_stored(headers, {"value": None}) == Message("any.events.v1", 3, 7, b"k", (("ce_id", b"x"),), None, 0)


def test_control_characters_and_what_is_no_text_are_escaped():
    assert readable(b"a\x00\x1b[2J\xff\n") == r"a\x00\x1b[2J\xff\n"
    assert readable("\ud800\u202e") == r"\ud800\u202e"
