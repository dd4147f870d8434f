"""Generations: what is published, what it replaced, and what a start takes over."""

import json
from pathlib import Path

import pytest

from tests.support.gateway.documents import SITE, texts
from waybill.gateway import generations
from waybill.gateway.documents.document import Document, Refused, parse
from waybill.gateway.site import Site


def documents(weight: int) -> tuple[Document, ...]:
    backends = f"[{{name: app, weight: 1}}, {{name: new, weight: {weight}}}]"
    return parse(texts(route=f"{{parentRefs: [{{name: g}}], rules: [{{backendRefs: {backends}}}]}}"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generations.prepare(tmp_path, SITE, documents(0))
    return tmp_path


def weight(folder: Path) -> int:
    (route,) = (one for one in generations.read(folder) if one.kind == "HTTPRoute")
    return route.body["spec"]["rules"][0]["backendRefs"][1]["weight"]


def test_each_generation_knows_which_one_it_replaced_and_by_whom_and_why(folder):
    second = generations.publish(folder, documents(1), by="ann", reason="canary")
    assert (second.number, second.replaced, second.by, second.reason) == (2, 1, "ann", "canary")
    assert generations.current(folder) == second
    assert json.loads((folder / "current" / "clusters.json").read_text())["version_info"] == "2"


def test_going_back_goes_back_to_what_was_replaced_and_further_back_to_what_is_named(folder):
    for each in (1, 2, 3):
        generations.publish(folder, documents(each), by="ann", reason="")
    assert generations.rollback(folder).number == 3
    assert weight(folder) == 2
    assert generations.rollback(folder, to=1).number == 1
    assert weight(folder) == 0
    after = generations.publish(folder, documents(7), by="ann", reason="")
    assert (after.number, after.replaced) == (5, 1)
    assert generations.rollback(folder).number == 1


def only(name: str) -> tuple[Document, ...]:
    return parse(texts(route=f"{{parentRefs: [{{name: g}}], rules: [{{backendRefs: [{{name: {name}}}]}}]}}"))


def resources(folder: Path, number: int, kind: str) -> list[dict]:
    return json.loads((folder / f"{number:04d}" / f"{kind}.json").read_text())["resources"]


def test_a_new_backend_is_known_before_a_route_leads_to_it_and_a_dropped_one_for_a_generation_after(folder):
    def known(number: int) -> set[str]:
        return {one["name"] for one in resources(folder, number, "clusters")}

    alone = generations.publish(folder, only("app"), by="ann", reason="")
    made = generations.publish(folder, only("new"), by="ann", reason="instead")
    after = generations.publish(folder, only("new"), by="ann", reason="")
    prepared = generations.generation(folder, made.replaced)
    assert (prepared.reason, prepared.replaced, prepared.number) == ("prepare: instead", alone.number, made.number - 1)
    assert resources(folder, prepared.number, "routes-http") == resources(folder, alone.number, "routes-http")
    assert known(prepared.number) == known(made.number) == {"r/0/app", "r/0/new"}
    assert known(after.number) == {"r/0/new"}
    assert generations.read(folder, prepared.number) == generations.read(folder, alone.number)


def test_who_says_at_once_gets_one_generation(folder):
    generations.publish(folder, only("app"), by="ann", reason="")
    assert generations.publish(folder, only("new"), by="ann", reason="", at_once=True).number == 3


def test_what_was_moved_stays_moved_at_a_new_start_on_the_same_documents_and_not_on_others(folder):
    generations.publish(folder, documents(5), by="ann", reason="")
    elsewhere = Site(backends=dict.fromkeys(SITE.backends, "10.0.0.1:80"), listeners=SITE.listeners)
    assert generations.prepare(folder, elsewhere, documents(0)).number == 3
    assert weight(folder) == 5
    assert "10.0.0.1" in (folder / "current" / "clusters.json").read_text()
    generations.prepare(folder, elsewhere, documents(9))
    assert weight(folder) == 9


def test_what_is_refused_leaves_the_folder_as_it_was(folder):
    before = sorted(one.name for one in folder.iterdir())
    wrong = parse(texts(route="{parentRefs: [{name: g}], rules: [{backendRefs: [{name: none}]}]}"))
    with pytest.raises(Refused):
        generations.publish(folder, wrong, by="ann", reason="")
    with pytest.raises(Refused):
        generations.prepare(folder, SITE, wrong)
    assert sorted(one.name for one in folder.iterdir()) == before
    assert generations.current(folder).number == 1


def test_old_generations_are_forgotten_but_not_the_one_to_go_back_to(folder, monkeypatch):
    monkeypatch.setattr(generations, "KEPT", 3)
    for each in range(5):
        generations.publish(folder, documents(each), by="ann", reason="")
    assert generations.numbers(folder) == [4, 5, 6]
    generations.rollback(folder, to=4)
    for each in range(3):
        generations.publish(folder, documents(each), by="ann", reason="")
        if each == 0:
            assert generations.current(folder).replaced == 4
    assert generations.current(folder).replaced in generations.numbers(folder)


def test_a_start_that_is_killed_before_its_generation_is_there_is_made_again(folder, monkeypatch):
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(generations, "_write", killed)
        with pytest.raises(KeyboardInterrupt):
            generations.prepare(folder, SITE, documents(9))
    assert weight(folder) == 0
    generations.prepare(folder, SITE, documents(9))
    assert weight(folder) == 9


def test_nothing_is_published_or_taken_back_where_there_is_nothing_to(folder, tmp_path):
    with pytest.raises(Refused, match="generation 1 is the first: there is none to go back to"):
        generations.rollback(folder)
    with pytest.raises(Refused, match="there is no generation 7 to go back to"):
        generations.rollback(folder, to=7)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    with pytest.raises(Refused, match="is no gateway's folder"):
        generations.publish(foreign, documents(1), by="ann", reason="")
    assert not list(foreign.iterdir())
