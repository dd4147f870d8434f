"""The pages of the services say what the code has: endpoints, events, statuses, settings, examples that are taken."""

import inspect
import json
import re
from importlib import import_module

import pytest
from ninja import Schema
from pydantic import ValidationError

from devstack.folder import CHECKOUT
from devstack.services import SERVICES
from outbox_relay.settings import RelaySettings
from waybill.observability import metrics
from waybill.rest.problem import TYPES

DOCS = CHECKOUT / "docs"
NAMES = tuple(SERVICES)


def text(service: str) -> str:
    return (DOCS / "services" / f"{service}.md").read_text()


@pytest.mark.parametrize("service", NAMES)
def test_every_status_stands_on_the_page_in_the_sequence_of_the_code(service):
    rows = re.findall(r"^\| ([A-Z]+) \|", text(service), re.MULTILINE)
    domain = import_module(f"{service}_service.domain")
    kinds = [kind for name, kind in vars(domain).items() if name.endswith("Status")]
    kinds.sort(key=lambda kind: (inspect.getsourcefile(kind), inspect.getsourcelines(kind)[1]))
    assert rows == [status.name for kind in kinds for status in kind if status.name != "NONE"]


@pytest.mark.parametrize("service", NAMES)
def test_every_example_is_one_that_the_service_takes_or_gives(service):
    kinds = {
        name: kind
        for name, kind in vars(import_module(f"{service}_service.api")).items()
        if isinstance(kind, type) and issubclass(kind, Schema) and kind is not Schema
    }
    shown: set[str] = set()
    for block in re.findall(r"^```json\n(.*?)^```$", text(service), re.MULTILINE | re.DOTALL):
        example = json.loads(block)
        if str(example.get("type")).startswith(TYPES):
            assert {"status", "code", "detail", "request_id", "retryable"} <= set(example)
            continue
        fitting = {name for name, kind in kinds.items() if _fits(kind, example)}
        assert fitting, f"no schema of the API takes {block}"
        shown |= fitting
    asked = {name for name in kinds if name.endswith("In") and name != "LineIn"}
    assert asked <= shown, f"no example of {asked - shown}"


def _fits(kind: type[Schema], example: dict[str, object]) -> bool:
    try:
        return set(kind.model_validate_json(json.dumps(example)).model_dump(exclude_unset=True)) == set(example)
    except ValidationError:
        return False


def test_the_runbook_names_no_metric_that_is_not():
    named = set(re.findall(r"`([a-z_]+)(?:\{[\w,]+\})?`", (DOCS / "runbook.md").read_text()))
    parts = {name.partition("_")[0] for name in metrics.METRICS}
    tables = {"waybill_outbox_cursor"}
    assert {name for name in named if "_" in name and name.partition("_")[0] in parts} - tables <= set(metrics.METRICS)


def test_the_relays_page_has_every_setting_of_the_relay():
    said = (DOCS / "relay.md").read_text()
    missing = [name for name in RelaySettings.model_fields if f"WAYBILL_{name.upper()}" not in said]
    assert [name for name in missing if name != "log_level"] == []


def test_every_point_of_owasps_list_names_tests_that_are_there():
    _, *points = re.split(r"^## ", (DOCS / "api-security.md").read_text(), flags=re.MULTILINE)
    assert [point.partition(":")[0] for point in points] == [f"API{n}" for n in range(1, 11)]
    for point in points:
        named = re.findall(r"^- `(tests/[\w/.]+)(?:::|`:\n  `)(test_\w+)`$", point, re.MULTILINE)
        assert named, point.splitlines()[0]
        missing = [test for file, test in named if f"\ndef {test}(" not in (CHECKOUT / file).read_text()]
        assert missing == []


def test_every_row_on_degradation_names_tests_that_are_there():
    rows = re.findall(r"^\| (.+)$", (DOCS / "explanation" / "degradation.md").read_text(), re.MULTILINE)[1:]
    assert len(rows) > 10
    for row in rows:
        named = re.findall(r"`(tests/[\w/.]+)::(test_\w+)`", row)
        assert named, row
        assert [test for file, test in named if f"\ndef {test}(" not in (CHECKOUT / file).read_text()] == []
