"""deploy/kubernetes, rendered: against services.toml, the settings, what was measured, and Kubernetes' own schemas.

`make k8s` applies the same to a real API server.
"""

import re
import shutil
import subprocess
import tomllib
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from catalogue import kubernetes
from devstack.folder import CHECKOUT
from devstack.services import EVERY
from outbox_relay.settings import RelaySettings
from tests.support.alerts import promtool
from tests.support.kubernetes import network, programs, schemas
from tests.support.kubernetes.rendering import (
    FOLDER,
    command,
    containers,
    identity,
    of_kind,
    pods,
    rendered_folder,
    variables,
    whole,
)
from waybill.runtime.settings import Environment, Settings

HOW_TO = CHECKOUT / "docs" / "how-to" / "deploy-on-kubernetes.md"


def of(service: str) -> list[Any]:
    """What a service consists of, to be changed."""
    return [deepcopy(dict(one)) for one in whole(service)]


def find(objects: list[Any], kind: str, name: str) -> Any:
    (found,) = (one for one in objects if identity(one) == (kind, name))
    return found


@pytest.mark.parametrize("service", EVERY)
def test_a_services_manifests_are_as_they_have_to_be(service):
    assert programs.wrong(service, whole(service)) == []
    assert network.denied_by_default(whole(service))


@pytest.mark.parametrize("service", EVERY)
def test_every_object_has_the_fields_of_its_kind_and_no_others(service):
    assert [line for one in whole(service) for line in schemas.problems(one)] == []


def test_a_misspelt_field_a_wrong_type_and_a_missing_field_are_refused():
    deployment = find(of("order"), "Deployment", "web")
    deployment["spec"]["replica"] = 2
    deployment["spec"]["minReadySeconds"] = "5"
    del deployment["spec"]["selector"]
    assert len(schemas.problems(deployment)) == 3
    scaled = find(of("order"), "ScaledObject", "consumer")
    del scaled["spec"]["scaleTargetRef"]
    assert len(schemas.problems(scaled)) == 1


def open_port(objects: list[Any]) -> None:
    find(objects, "NetworkPolicy", "to-postgres")["spec"]["egress"][0].pop("ports")


def open_peer(objects: list[Any]) -> None:
    find(objects, "NetworkPolicy", "from-clients")["spec"]["ingress"][0].pop("from")


def no_kafka(objects: list[Any]) -> None:
    objects.remove(find(objects, "NetworkPolicy", "to-kafka"))


def private_webhooks(objects: list[Any]) -> None:
    find(objects, "NetworkPolicy", "to-webhooks")["spec"]["egress"][0]["to"][0]["ipBlock"]["except"].remove(
        "10.0.0.0/8"
    )


def other_health_port(objects: list[Any]) -> None:
    web = find(objects, "Deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    web["ports"][1]["containerPort"] = 8001


def deep_liveness(objects: list[Any]) -> None:
    worker = find(objects, "Deployment", "worker")["spec"]["template"]["spec"]["containers"][0]
    worker["livenessProbe"]["httpGet"]["path"] = "/readyz"


def scaled_relay(objects: list[Any]) -> None:
    copy = deepcopy(find(objects, "ScaledObject", "worker"))
    copy["metadata"]["name"] = copy["spec"]["scaleTargetRef"]["name"] = "relay"
    objects.append(copy)


def idle_consumers(objects: list[Any]) -> None:
    find(objects, "ScaledObject", "consumer")["spec"]["maxReplicaCount"] += 1


def little_memory(objects: list[Any]) -> None:
    web = find(objects, "Deployment", "web")["spec"]["template"]["spec"]["containers"][0]
    web["resources"]["requests"]["memory"] = "32Mi"


def token(objects: list[Any]) -> None:
    find(objects, "Deployment", "relay")["spec"]["template"]["spec"]["automountServiceAccountToken"] = True


def role(objects: list[Any]) -> None:
    objects.append({"kind": "RoleBinding", "metadata": {"name": "view"}})


def writable(objects: list[Any]) -> None:
    job = find(objects, "Job", "migration")["spec"]["template"]["spec"]
    job["initContainers"][0]["securityContext"]["readOnlyRootFilesystem"] = False


def gap(objects: list[Any]) -> None:
    strategy = find(objects, "Deployment", "web")["spec"]["strategy"]
    strategy["rollingUpdate"]["maxUnavailable"] = 1


def no_worker(objects: list[Any]) -> None:
    for kind in ("Deployment", "ScaledObject", "PodDisruptionBudget"):
        objects.remove(find(objects, kind, "worker"))


def no_budget(objects: list[Any]) -> None:
    objects.remove(find(objects, "PodDisruptionBudget", "relay"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (open_port, "must not have egress ('postgres', 0)"),
        (open_peer, "web must not have ingress ('everybody', 8000)"),
        (no_kafka, "needs egress ('kafka', 9093)"),
        (private_webhooks, "worker needs egress ('public', 443)"),
        (other_health_port, "readinessProbe asks"),
        (deep_liveness, "livenessProbe asks"),
        (scaled_relay, "scaled are"),
        (idle_consumers, "7 consumers, and 6 partitions"),
        (little_memory, "web asks for 32.0 MiB"),
        (token, "relay mounts a token"),
        (role, "('RoleBinding', 'view') is not wanted"),
        (writable, "migrate runs with"),
        (gap, "web is stopped before another is ready"),
        (no_worker, "Deployment worker is missing"),
        (no_budget, "relay has the budgets []"),
    ],
    ids=lambda one: one.__name__ if callable(one) else "",
)
def test_what_is_other_than_it_has_to_be_is_said(change, said):
    objects = of("notification")
    change(objects)
    assert [line for line in programs.wrong("notification", objects) if said in line]


def test_a_variable_of_which_nobody_said_whom_it_calls_fails():
    assert network.called(["WAYBILL_KAFKA_BOOTSTRAP", "WAYBILL_OWNER_DATABASE_URLS_FILE"]) == {"kafka", "postgres"}
    with pytest.raises(KeyError):
        network.called(["WAYBILL_WAREHOUSE_URL"])


@pytest.mark.parametrize("service", EVERY)
def test_a_program_calls_whom_the_compose_file_has_it_call(service):
    """What stands in a manifest's own variables leads to the same parts."""
    for name, pod in pods(whole(service)).items():
        told = {variable for container in containers(pod) for variable in variables(container, whole(service))}
        assert network.called(told) == network.told(service, name), name


@pytest.mark.parametrize("service", EVERY)
def test_every_variable_is_known_to_the_program_that_gets_it(service):
    own = vars(import_module(f"{EVERY[service].package}.settings")).values()
    classes = {Settings, *(one for one in own if isinstance(one, type) and issubclass(one, Environment))}
    contracts = (CHECKOUT / "waybill" / "contracts" / "command.py").read_text() + (
        CHECKOUT / "waybill" / "kafka" / "create_topics.py"
    ).read_text()
    for name, pod in pods(whole(service)).items():
        for container in containers(pod):
            kinds = {RelaySettings} if name == "relay" else classes
            known = {f"WAYBILL_{field.upper()}" for kind in kinds for field in kind.model_fields}
            if "contracts" in command(container, whole(service)):
                known = set(re.findall(r"WAYBILL_\w+", contracts))
            given = variables(container, whole(service))
            secret = {one for one in given if one not in known}
            assert {one.removesuffix("_FILE") for one in secret} <= known, container["name"]
            assert all(given[one].startswith("/secrets/") for one in secret)


def test_there_is_no_overlay_of_a_service_that_is_gone():
    assert {path.name for path in kubernetes.FOLDER.iterdir()} == set(EVERY)


def test_pods_run_as_the_images_user():
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    (user,) = set(re.findall(r"^USER (.+)$", dockerfile, re.MULTILINE))
    for service in EVERY:
        for pod in pods(whole(service)).values():
            assert pod["spec"]["securityContext"]["runAsUser"] == int(user)
            assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_programs_and_migrations_are_of_one_version():
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    for service in EVERY:
        images = {one["image"] for pod in pods(whole(service)).values() for one in containers(pod)}
        assert images == {f"registry.example.com/waybill/programs:{version}"}


def test_scaling_goes_by_metrics_that_there_are_of_the_services_own_namespace():
    known = set(re.findall(r"^\| `(\w+)", (CHECKOUT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    for service in EVERY:
        for one in of_kind(whole(service), "ScaledObject"):
            (trigger,) = one["spec"]["triggers"]
            query = trigger["metadata"]["query"]
            series = set(re.findall(r'(\w+)\{namespace="waybill-(\w+)"\}', query))
            assert {name for name, _ in series} <= known
            assert {namespace for _, namespace in series} == {service}
            assert "NAMESPACE" not in query


# What pods say, and what a scaler makes of it: the value, or nothing where nobody knows.
SEEN = [
    ("consumer", {'pod="a"': "3", 'pod="b"': "NaN", 'pod="c"': "40"}, {}, 40),
    ("consumer", {'pod="a"': "NaN", 'pod="b"': "NaN"}, {}, None),
    ("worker", {'pod="a",task="refund"': "7", 'pod="b",task="refund"': "8"}, {'pod="a",task="refund"': "0"}, 8),
    # One worker's circuit breaker is open: the provider is away, for all of them.
    (
        "worker",
        {'pod="a",task="charge"': "500", 'pod="b",task="charge"': "500", 'pod="a",task="refund"': "7"},
        {'pod="a",task="charge"': "1", 'pod="b",task="charge"': "0", 'pod="a",task="refund"': "0"},
        7,
    ),
]


@pytest.mark.parametrize(("program", "values", "breakers", "seen"), SEEN)
def test_scalers_see_the_longest_wait_that_more_pods_can_shorten(program, values, breakers, seen, tmp_path):
    query = find(of("payment"), "ScaledObject", program)["spec"]["triggers"][0]["metadata"]["query"]
    metric = {"consumer": "consumer_lag_seconds", "worker": "worker_due_oldest_seconds"}[program]
    own = 'namespace="waybill-payment"'
    series = {f"{metric}{{{own},{labels}}}": value for labels, value in values.items()}
    series |= {f"worker_breaker_open{{{own},{labels}}}": value for labels, value in breakers.items()}
    series[f'{metric}{{namespace="waybill-order",task="expire"}}'] = "900"
    samples = [] if seen is None else [{"labels": "{}", "value": seen}]
    tested = {
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": name, "values": f"{value} {value} {value}"} for name, value in series.items()
                ],
                "promql_expr_test": [{"expr": query, "eval_time": "1m", "exp_samples": samples}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(tested))
    done = subprocess.run([promtool(), "test", "rules", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_fifth_services_programs_ask_for_what_others_of_their_kind_take():
    footprint = {"order.web": {"peak_mib": 100.0, "cpu_ms": 2.0}, "payment.web": {"peak_mib": 90.0, "cpu_ms": 0.1}}
    fifth = kubernetes.taken(EVERY["inventory"], "web", footprint)
    assert fifth == {"CPU": "200", "REQUEST": "128", "LIMIT": "256"}
    assert kubernetes.taken(EVERY["payment"], "web", footprint) == {"CPU": "50", "REQUEST": "128", "LIMIT": "256"}


def test_another_environment_is_a_folder_in_the_place_of_ours(tmp_path: Path):
    """The how-to's own example, beside the overlay of one service."""
    shutil.copytree(FOLDER, tmp_path / "kubernetes")
    shown = re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", HOW_TO.read_text(), re.MULTILINE | re.DOTALL)
    assert shown
    for name, text in shown:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder,) = {(tmp_path / name).parent for name, text in shown if yaml.safe_load(text)["kind"] == "Kustomization"}
    objects = rendered_folder(folder)
    images = {one["image"] for pod in pods(objects).values() for one in containers(pod)}
    assert images == {"registry.example.com/waybill/programs:0.2.0"}
    (to_postgres,) = (one for one in objects if identity(one) == ("NetworkPolicy", "to-postgres"))
    assert to_postgres["spec"]["egress"][0]["to"] == [{"ipBlock": {"cidr": "10.20.0.5/32"}}]


def test_the_how_to_names_every_secret_with_its_keys():
    told = dict(re.findall(r"^\| `([\w-]+)` \| `([^|]+)` \|", HOW_TO.read_text(), re.MULTILINE))
    wanted: dict[str, set[str]] = {}
    for service in EVERY:
        for pod in pods(whole(service)).values():
            mounted = {one["name"]: one["secret"]["secretName"] for one in pod["spec"]["volumes"] if "secret" in one}
            for container in containers(pod):
                for value in variables(container, whole(service)).values():
                    if found := re.fullmatch(r"/secrets/([\w-]+)/([\w.-]+)", value):
                        wanted.setdefault(mounted[found[1]], set()).add(found[2])
    assert {name: set(re.findall(r"[\w.-]+", keys)) for name, keys in told.items()} == wanted
