"""Every dashboard is one that Grafana takes, and asks for series that there are."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from devstack.folder import CHECKOUT
from tests.support.alerts import RECORDED, SUFFIXES, promtool

DASHBOARDS = sorted((CHECKOUT / "deploy" / "dashboards").glob("*.json"))
METRICS = set(re.findall(r"^\| `([a-z_]+)", (CHECKOUT / "docs" / "metrics.md").read_text(), re.MULTILINE))
SERIES = METRICS | {f"{name}{suffix}" for name in METRICS for suffix in SUFFIXES} | RECORDED


def expressions(file: Path) -> list[str]:
    return [target["expr"] for panel in json.loads(file.read_text())["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_for_series_that_the_page_of_the_metrics_has(file: Path):
    assert METRICS
    for expression in expressions(file):
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\bby \([^)]*\)", "", expression)
        read = {
            name
            for name in re.findall(r"[a-z][a-z0-9_:]*[_:][a-z0-9_:]+", bare)
            if f"{name}(" not in bare.replace(" ", "")
        }
        read -= {"histogram_quantile"}
        assert read, expression
        assert read <= SERIES, expression


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_no_two_panels_have_one_id_or_one_place(file: Path):
    panels = json.loads(file.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len({str(panel["gridPos"]) for panel in panels}) == len(panels)


def test_prometheus_can_read_every_expression(tmp_path: Path):
    rules = [
        {"record": f"x:{n}", "expr": one}
        for n, one in enumerate(expression for file in DASHBOARDS for expression in expressions(file))
    ]
    written = tmp_path / "rules.yml"
    written.write_text(json.dumps({"groups": [{"name": "dashboards", "rules": rules}]}))  # JSON is YAML
    done = subprocess.run([promtool(), "check", "rules", written], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
