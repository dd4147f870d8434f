"""docs/asyncapi is what contracts, topics and plans say today, and the catalogue's pages hold all of it."""

import json
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
import yaml
from fastavro import parse_schema, schemaless_writer

from catalogue import asyncapi, book, examples, pages
from devstack.folder import CHECKOUT
from schemas.events import EVENTS
from tests.support.services import SERVICES
from waybill.contracts import codec
from waybill.contracts.contracts import load
from waybill.contracts.document import flatten

BOOK = book.read()
PAGES = pages.pages(BOOK)
DOCUMENTS = {path.stem: yaml.safe_load(text) for path, text in asyncapi.documents(BOOK).items()}
EVENTS_IN_BOOK = [(chapter, event) for chapter in BOOK.chapters for event in chapter.events]
VERSIONS = [(chapter, version) for chapter, event in EVENTS_IN_BOOK for version in event.versions]
PUBLIC = [contract for contract in load() if contract.topic]
VOID = {"meta", "input"}


def test_the_documents_in_the_repository_follow_from_the_contracts():
    fresh = asyncapi.documents(BOOK)
    assert set(asyncapi.FOLDER.iterdir()) == set(fresh)
    stale = [path.name for path, text in fresh.items() if path.read_text() != text]
    assert stale == [], "run `make docs` and commit what it writes"


def test_the_command_says_so_too():
    command = [sys.executable, "-m", "catalogue", "--check"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_channel_is_a_topic_and_lists_every_version_that_it_may_hold():
    channels = DOCUMENTS["waybill"]["channels"]
    assert {one["address"] for one in channels.values()} == {contract.topic for contract in PUBLIC}
    listed = {(one["address"], message) for one in channels.values() for message in one["messages"]}
    assert listed == {(contract.topic, f"{contract.name}.v{contract.version}") for contract in PUBLIC}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_sends_its_topics_and_receives_what_it_reacts_to(service: str):
    told = DOCUMENTS[service.removesuffix("_service")]
    plan = book.plan(service)
    others = {chapter.topic.name for chapter in BOOK.chapters if chapter.topic.written_by}
    published = [kind for kind in EVENTS.values() if kind.topic and kind.topic not in others]
    own = {kind.event_type for kind in published if kind.aggregate_type in plan.tables}
    sent, received = (operations(told, action) for action in ("send", "receive"))
    assert {event_type for _, event_type in sent} == own
    assert {event_type for _, event_type in received} == plan.reaction_to.keys()
    assert {topic for topic, _ in received} == set(plan.topics)
    groups = {one["bindings"]["kafka"]["groupId"]["const"] for one in told["operations"].values() if "bindings" in one}
    assert groups == {service}


def operations(told: dict[str, Any], action: str) -> set[tuple[str, str]]:
    """Topic and event type of every message of the operations of a kind."""
    found = set()
    for one in told["operations"].values():
        for message in one["messages"] if one["action"] == action else ():
            _, _, channel, _, name = message["$ref"].split("/")
            found.add((told["channels"][channel]["address"], told["components"]["messages"][name]["name"]))
    return found


def test_one_document_has_the_operations_of_all():
    single = [name for name in DOCUMENTS if name != "waybill"]
    assert DOCUMENTS["waybill"]["operations"].keys() == {op for name in single for op in DOCUMENTS[name]["operations"]}


@pytest.mark.parametrize(("chapter", "version"), VERSIONS, ids=lambda one: getattr(one, "name", ""))
def test_an_example_is_an_event_that_the_codec_takes(chapter: book.Chapter, version: book.Version):
    contract = version.contract
    payload = examples.payload(version)
    buffer = BytesIO()
    schemaless_writer(buffer, parse_schema(dict(contract.schema)), payload)
    event = codec.decode(contract.event_type, version.number, buffer.getvalue())
    if version.number == event.schema_version:
        assert json.loads(json.dumps(event.to_avro(), default=str)) == payload
    found = examples.headers(version, chapter)
    assert set(asyncapi.REQUIRED) <= found.keys() <= asyncapi.HEADERS.keys()
    assert (found["ce_subject"], found["ce_type"]) == (event.aggregate_id, contract.event_type)


def test_what_a_version_changed_is_told():
    told = {version.name: version.changes for _, version in VERSIONS}
    assert told["PaymentCharged.v1"] == ()
    (change,) = told["PaymentCharged.v2"]
    assert change.startswith("Added provider (string or null, default null): ")


class Reader(HTMLParser):
    """Ids, links and text of a page; fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert not {"src", "style", "onclick"} & given.keys()
        assert tag != "link"
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += "" if self._open[-1:] == ["script"] or self._open[-1:] == ["style"] else data


READ = {path.name: Reader(text) for path, text in PAGES.items()}


@pytest.mark.parametrize("name", READ)
def test_a_page_has_no_dead_link_and_asks_nobody(name: str):
    page, text = READ[name], PAGES[pages.FOLDER / name]
    assert len(page.ids) == len(set(page.ids))
    for link in page.links:
        file, _, place = link.partition("#")
        assert (file or name) in READ, link
        assert not place or place in READ[file or name].ids, link
    assert not re.search(r"https?://|url\(|@import|fetch\(|import ", text)


def test_every_place_that_the_search_knows_is_there():
    (listed,) = re.findall(r"^const PLACES = (.*);$", PAGES[pages.FOLDER / "index.html"], re.MULTILINE)
    places = json.loads(listed)
    for place in places:
        file, _, target = place["href"].partition("#")
        assert not target or target in READ[file].ids, place
    titles = {place["title"] for place in places}
    assert titles >= {contract.name for contract in PUBLIC} | {contract.topic for contract in PUBLIC} | set(SERVICES)


@pytest.mark.parametrize(("chapter", "event"), EVENTS_IN_BOOK, ids=lambda one: getattr(one, "name", ""))
def test_an_event_has_a_page_with_all_that_is_known_of_it(chapter: book.Chapter, event: book.Event):
    page = READ[f"{event.name}.html"]
    said = " ".join(page.text.split())
    wanted = [chapter.topic.name, chapter.producer, event.current.contract.event_type, event.current.contract.subject]
    wanted += [event.current.record.doc, *(one.service for one in event.subscribers)]
    for path, field in flatten(event.current.record):
        assert ".".join(path) in page.ids
        wanted += [field.doc]
    for version in event.versions:
        wanted += [f"Version {version.number}", *version.changes, f"schemas/{version.contract.source}"]
        wanted += [" ".join(json.dumps(examples.payload(version), indent=2, ensure_ascii=False).split())]
        wanted += examples.headers(version, chapter).values()
    assert [one for one in wanted if " ".join(one.split()) not in said] == []


@pytest.mark.parametrize("chapter", BOOK.chapters, ids=lambda chapter: chapter.topic.name)
def test_a_topic_has_a_page_with_its_retention_and_partitions(chapter: book.Chapter):
    said = READ[f"{chapter.topic.name}.html"].text
    for wanted in (
        f"Partitions{chapter.topic.partitions}",
        chapter.topic.retention,
        f"{chapter.topic.max_message_bytes:,}",
    ):
        assert wanted in said
    assert f"{chapter.topic.name}.html" in READ["index.html"].links
    assert {f"{event.name}.html" for event in chapter.events} <= set(READ["index.html"].links)


def test_a_page_can_be_used_by_keyboard_and_read_aloud():
    for name, text in ((path.name, text) for path, text in PAGES.items()):
        assert '<html lang="en">' in text
        assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
        assert text.index('class="skip" href="#main"') < text.index("<header>")
        assert '<label for="typed">' in text
        assert 'id="count" role="status"' in text
        assert len(re.findall(r"<h1>", text)) == 1
        headings = [int(level) for level in re.findall(r"<h(\d)>", text)]
        assert all(after - before <= 1 for before, after in pairwise(headings)), name
        tables = re.findall(r'<div class="wide" role="region" aria-label="[^"]+" tabindex="0"><table>', text)
        assert len(tables) == text.count("<table>")
        assert unescape(re.findall(r"<title>(.*)</title>", text)[0]).endswith("Waybill events")
