"""deploy/scaling.toml, the page on it and the code say the same."""

import re
import tomllib

import pytest
import yaml

from catalogue import scaling
from devstack.folder import CHECKOUT
from waybill.contracts.topics import topics
from waybill.observability.metrics import METRICS

SCALING = tomllib.loads((CHECKOUT / "deploy" / "scaling.toml").read_text())
ROWS = dict(
    re.findall(r"^\| (\w+) \| (.+)$", (CHECKOUT / "docs" / "explanation" / "scaling.md").read_text(), re.MULTILINE)
)


def test_every_kind_of_program_has_its_entry():
    assert set(SCALING) == {"consumer", "worker", "web", "relay"}


@pytest.mark.parametrize("kind", ["consumer", "worker"])
def test_a_program_is_scaled_by_a_metric_that_it_has_and_the_page_says_its_limit(kind):
    metric, limit = SCALING[kind]["metric"], SCALING[kind]["limit_seconds"]
    assert kind in METRICS[metric].programs
    assert f"`{metric}` is above {limit} s" in ROWS[kind]


def test_the_page_says_how_many_there_are_at_most():
    """The services' own topics have the same number of partitions, and no other has more: one number bounds all."""
    (partitions,) = {topic.partitions for topic in topics() if not topic.written_by}
    assert max(topic.partitions for topic in topics()) == partitions
    assert SCALING["consumer"]["at_most"] == "partitions"
    assert f"one a partition ({partitions})" in ROWS["consumer"]
    for kind in ("worker", "web"):
        assert f"| {SCALING[kind]['at_most']} |" in ROWS[kind]
    assert f"more than {SCALING['web']['limit_millicores'] / 1000} of a core" in ROWS["web"]


def test_the_relay_is_never_scaled():
    assert SCALING["relay"] == {"instances": 2}
    assert ROWS["relay"].startswith("never")


@pytest.mark.parametrize("kind", ["consumer", "worker", "web"])
def test_the_manifests_have_the_same_limits(kind):
    manifest = CHECKOUT / "deploy" / "kubernetes" / "base" / kind / "scaling.yaml"
    if not manifest.exists():
        pytest.skip("there are no manifests")
    said, limits = yaml.safe_load(manifest.read_text())["spec"], SCALING[kind]
    if kind == "web":
        assert said["maxReplicas"] == limits["at_most"]
        target = said["metrics"][0]["resource"]["target"]
        assert target == {"type": "AverageValue", "averageValue": f"{limits['limit_millicores']}m"}
        return
    asked = said["triggers"][0]["metadata"]
    assert (float(asked["threshold"]), limits["metric"] in asked["query"]) == (limits["limit_seconds"], True)
    if kind == "worker":  # a consumer's maximum is that of what it reads: each overlay has it
        assert said["maxReplicaCount"] == limits["at_most"]


def test_a_program_that_costs_twice_as_much_ends_at_half_the_rate_and_needs_twice_as_many():
    most = {"web": 8, "consumer": 6, "relay": 1}

    def ends(web_ms: float) -> dict[str, float]:
        cost = {"order.web": web_ms, "order.consumer": 0.5, "order.relay": 0.5, "postgres": 3.0}
        return {one.program: round(one.rate) for one in scaling.limits(cost, most, bulk_rate=80_000)}

    assert ends(2) == {"order.web": 4000, "order.consumer": 12_000, "order.relay": 20_000}
    assert ends(4) == ends(2) | {"order.web": 2000}
    assert scaling.needs("order.web", 1_000 * 2, 600) == "4 (2.0 cores)"
    assert scaling.needs("order.web", 1_000 * 4, 600) == "7 (4.0 cores)"


def test_the_page_of_rates_has_todays_costs_and_limits():
    text = scaling.PAGE.read_text()
    assert text == scaling.page(), "run: make docs"
    for kind in ("worker", "web"):
        assert f".{kind}: {SCALING[kind]['at_most']} of one core each" in text
