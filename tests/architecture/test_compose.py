"""docker-compose.kafka.yml against the settings classes, the local stack's plan, and itself. Runs no container."""

import re
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from devstack import parts, services
from devstack.folder import CHECKOUT
from devstack.infrastructure import postgres
from devstack.parts import AUDIENCE, ISSUER
from devstack.parts import Site as StackSite
from outbox_relay.settings import RelaySettings
from tests.support import containers
from waybill.contracts.topics import topics
from waybill.gateway.site import Site, split
from waybill.runtime.settings import Environment, Settings

EVERY = tuple(services.EVERY)
DECIDING = tuple(services.SERVICES)
WITH_RELAY = tuple(one.name for one in services.EVERY.values() if "relay" in one.programs)
COMPOSE = CHECKOUT / "docker-compose.kafka.yml"
READY = ["CMD", "python", "deploy/ready.py"]

# What each kind of program cannot do its work without.
NEEDS = {
    "web": {
        "DATABASE_URL",
        "HOST",
        "PORT",
        "HEALTH_PORT",
        "ENVIRONMENT",
        "JWKS_FILE",
        "TOKEN_ISSUER",
        "TOKEN_AUDIENCE",
    },
    "consumer": {"DATABASE_URL", "HOST", "PORT", "KAFKA_BOOTSTRAP"},
    "worker": {"DATABASE_URL", "HOST", "PORT"},
    "relay": {"DATABASE_URL", "HOST", "PORT", "KAFKA_BOOTSTRAP", "SERVICE"},
    "migrate": {"DATABASE_URL", "OWNER_DATABASE_URL", "SERVICE_ROLE", "RELAY_ROLE"},
    "topics": {"KAFKA_BOOTSTRAP"},
    "register": {"REGISTRY_URL", "OWNER_DATABASE_URLS"},
}
NEEDS_ALSO = {"payment-worker": {"PROVIDER_URL"}, "notification-worker": {"SMTP_HOST", "SMTP_PORT"}}
NEEDS_ALSO["console-web"] = {"OUTBOX_DATABASES", "KAFKA_BOOTSTRAP"}
MAY_HAVE = {"LOG_LEVEL"}
# A compose service's name → the step of the local stack's plan, where they differ.
STEPS = {"register": "schemas"}
# Ports that images listen on by themselves.
IMAGE_PORTS = {"postgres": 5432}
SITE = Site.load(CHECKOUT / "deploy" / "gateway" / "sites" / "compose.yaml")


def interpolated(value: Any) -> Any:
    """Fill in `${NAME:-default}` with the default, as compose does in an empty environment."""
    if isinstance(value, dict):
        return {key: interpolated(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [interpolated(inner) for inner in value]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, str) else value


COMPOSED = interpolated(yaml.safe_load(COMPOSE.read_text()))["services"]
OURS = {name: one for name, one in COMPOSED.items() if name.partition("-")[2] or name in {"topics", "register"}}


def environment(name: str) -> dict[str, str]:
    return COMPOSED[name].get("environment", {})


def kind_of(name: str) -> str:
    return name.partition("-")[2] or name


def settings_of(name: str) -> list[type[Environment]]:
    """The classes that the program reads."""
    service, kind = name.partition("-")[0], kind_of(name)
    if kind == "relay":
        return [RelaySettings]
    if kind in {"topics", "register"}:
        return []
    own = vars(import_module(f"{service}_service.settings")).values()
    return [Settings, *(c for c in own if isinstance(c, type) and issubclass(c, Environment) and c is not Environment)]


def known_to(name: str) -> set[str]:
    kinds = settings_of(name)
    if not kinds:
        source = (CHECKOUT / "waybill" / "contracts" / "command.py").read_text()
        return set(re.findall(r'_variable\("(WAYBILL_\w+)"\)', source))
    return {f"WAYBILL_{field.upper()}" for kind in kinds for field in kind.model_fields}


def listening(name: str) -> set[int]:
    """The TCP ports that a container listens on, for others."""
    given = environment(name)
    found = {
        int(v)
        for k, v in given.items()
        if k in {"WAYBILL_PORT", "WAYBILL_HEALTH_PORT", "STACK_PORT", "STACK_SMTP_PORT"}
    }
    if "KAFKA_LISTENERS" in given:
        found |= {int(listener.rpartition(":")[2]) for listener in given["KAFKA_LISTENERS"].split(",")}
    if "QUARKUS_HTTP_PORT" in given:
        found.add(int(given["QUARKUS_HTTP_PORT"]))
    if name == "gateway":
        found |= {split(address)[1] for address in (*SITE.listeners.values(), SITE.admin)}
    return found | ({IMAGE_PORTS[name]} if name in IMAGE_PORTS else set())


def calls(name: str) -> Iterator[tuple[str, str, int]]:
    """Variable, host and port of everything that a container calls."""
    for variable, value in environment(name).items():
        if "ADVERTISED" in variable or "LISTENERS" in variable:
            continue
        for found in re.finditer(r"(?:^|//|@)([a-z][a-z-]*):(\d+)", value):
            yield variable, found[1], int(found[2])
        if variable.endswith("_HOST") and value != "0.0.0.0":
            yield variable, value, int(environment(name)[variable.replace("_HOST", "_PORT")])


def site() -> StackSite:
    """Any site: the plan's programs, steps and needs do not depend on it."""
    roles = [f"{service}_{role}" for service in EVERY for role in postgres.ROLES]
    ports = dict.fromkeys(parts.port_names(parts.names()), 1)
    return StackSite(
        ports=ports, secrets=dict.fromkeys([*roles, "postgres"], "x"), jwks_file=Path("/x"), data=Path("/x")
    )


def plan() -> dict[str, set[str]]:
    """Every program and step of the local stack → what it waits for."""
    programs = [parts.program(site(), *name.split(".")) for name in parts.names() if "." in name]
    steps = parts.steps(site(), EVERY, frozenset(parts.names()))
    return {task.name: set(task.needs) for task in [*programs, *steps]}


def waits_for(name: str) -> set[str]:
    """The plan's names of everything that must be there before this container starts."""
    direct = COMPOSED[name].get("depends_on", {})
    found = set(direct)
    for one in direct:
        found |= waits_for(one)
    return found


def test_every_program_and_step_of_the_local_stack_is_there_and_no_other():
    composed = {STEPS.get(name, name.replace("-", ".")) for name in COMPOSED}
    # The postgres image's own script creates the databases, and the issuer is a part of the local stack's command.
    assert composed - {"issuer"} == {*parts.names(), parts.GATEWAY, *plan()}


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_known_to_the_program_that_gets_it(name):
    assert set(environment(name)) <= known_to(name)


@pytest.mark.parametrize("name", OURS)
def test_a_program_is_told_what_it_needs_and_no_more(name):
    needed = {f"WAYBILL_{field}" for field in NEEDS[kind_of(name)] | NEEDS_ALSO.get(name, set())}
    if name.endswith("-migrate") and name.partition("-")[0] not in WITH_RELAY:
        needed.discard("WAYBILL_RELAY_ROLE")
    assert needed <= set(environment(name)) <= needed | {f"WAYBILL_{field}" for field in MAY_HAVE}


@pytest.mark.parametrize("name", [name for name in OURS if settings_of(name)])
def test_the_settings_classes_take_the_values(name, monkeypatch):
    for variable in known_to(name):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment(name).items():
        monkeypatch.setenv(variable, value)
    for kind in settings_of(name):
        kind()


@pytest.mark.parametrize("name", COMPOSED)
def test_who_is_called_listens_on_that_port(name):
    for variable, host, port in calls(name):
        assert host in COMPOSED, f"{variable} names {host}, which is no container here"
        assert port in listening(host), f"{variable} calls {host}:{port}, which listens on {sorted(listening(host))}"


def test_the_gateway_finds_every_web_program_and_the_keys_of_its_issuer():
    for backend, address in SITE.backends.items():
        service = backend.removeprefix("waybill-").removesuffix("/web")
        assert split(address) == (f"{service}-web", 8000)
        assert split(address)[1] in listening(f"{service}-web")
    assert len(SITE.backends) == len([one for one in services.EVERY.values() if "web" in one.programs])
    assert set(SITE.issuers.values()) == {ISSUER}
    assert set(SITE.keys.values()) == {"/jwks/jwks.json"}
    assert COMPOSED["gateway"]["volumes"] == ["jwks:/jwks:ro"]


def test_the_check_on_ports_sees_every_address():
    found = {(host, port) for name in COMPOSED for _, host, port in calls(name)}
    assert found == {
        *{("postgres", 5432), ("kafka", 9092), ("kafka", 9093), ("registry", 8080)},
        *{("provider", 8090), ("mailbox", 1025)},
    }


def test_kafka_answers_the_containers_by_its_name_and_this_machine_as_localhost():
    given = environment("kafka")
    heard = dict(listener.split("://") for listener in given["KAFKA_LISTENERS"].split(","))
    told = dict(listener.split("://") for listener in given["KAFKA_ADVERTISED_LISTENERS"].split(","))
    assert told == {"PLAINTEXT": f"kafka{heard['PLAINTEXT']}", "HOST": f"localhost{heard['HOST']}"}
    assert f"127.0.0.1:{heard['HOST'][1:]}:{heard['HOST'][1:]}" in COMPOSED["kafka"]["ports"]


@pytest.mark.parametrize("name", [name for name in COMPOSED if "ports" in COMPOSED[name]])
def test_ports_are_published_on_this_machine_only_and_lead_to_a_listener(name):
    for mapping in COMPOSED[name]["ports"]:
        address, _, port = mapping.rsplit(":", 2)
        assert address == "127.0.0.1"
        assert int(port) in listening(name)


def test_no_port_is_published_twice():
    published = [mapping.split(":")[1] for one in COMPOSED.values() for mapping in one.get("ports", ())]
    assert len(published) == len(set(published))


@pytest.mark.parametrize("name", [name for name in OURS if kind_of(name) in {"web", "consumer", "worker", "relay"}])
def test_a_program_is_asked_for_readiness_where_it_answers(name):
    given = environment(name)
    port = given.get("WAYBILL_HEALTH_PORT", given["WAYBILL_PORT"])
    assert COMPOSED[name]["healthcheck"]["test"] == [*READY, f"http://127.0.0.1:{port}/readyz"]
    assert environment(name)["WAYBILL_HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", [name for name in COMPOSED if kind_of(name) not in {*NEEDS, "issuer"}])
def test_everything_else_that_stays_has_a_health_check_on_its_own_port(name):
    checked = " ".join(COMPOSED[name]["healthcheck"]["test"])
    assert name == "postgres" or any(re.search(rf"\b{port}\b", checked) for port in listening(name))


@pytest.mark.parametrize("name", [name for name in COMPOSED if kind_of(name) in {"provider", "mailbox"}])
def test_the_simulated_outside_gets_the_variables_that_it_reads(name):
    source = (CHECKOUT / "devstack" / "simulators" / f"{name}.py").read_text()
    assert set(environment(name)) == set(re.findall(r'\["(STACK_\w+)"\]', source))


@pytest.mark.parametrize("name", COMPOSED)
def test_conditions_say_healthy_of_what_stays_and_completed_of_what_ends(name):
    for other, how in COMPOSED[name].get("depends_on", {}).items():
        stays = "healthcheck" in COMPOSED[other]
        assert how["condition"] == ("service_healthy" if stays else "service_completed_successfully"), other


@pytest.mark.parametrize("name", OURS)
def test_the_start_order_is_the_local_stacks(name):
    known_as = {STEPS.get(other, other.replace("-", ".")) for other in waits_for(name)}
    needs = plan()[STEPS.get(name, name.replace("-", "."))]
    assert {"postgres" if need == "databases" else need for need in needs} <= known_as


def test_the_start_order_goes_no_further_than_the_work_needs():
    """A service whose neighbours are down still starts: no web, no worker waits for Kafka or the registry."""
    for name in OURS:
        if kind_of(name) in {"web", "worker"}:
            assert waits_for(name) <= {"postgres", "issuer", f"{name.partition('-')[0]}-migrate"}


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_the_local_stacks(name):
    tasks = [parts.program(site(), *each.split(".")) for each in parts.names() if "." in each]
    tasks += parts.steps(site(), EVERY, frozenset(parts.names()))
    commands = {task.name: list(task.command[1:]) for task in tasks}
    assert COMPOSED[name]["command"] == ["python", *commands[STEPS.get(name, name.replace("-", "."))]]


@pytest.mark.parametrize("name", [name for name in OURS if kind_of(name) in {*NEEDS} - {"topics", "register"}])
def test_each_program_has_the_role_that_it_may_have(name):
    service, kind = name.split("-")
    role = {"relay": "relay", "migrate": "owner"}.get(kind, "service")
    for variable, value in environment(name).items():
        if variable.endswith("DATABASE_URL"):
            _of_role(value, service, role)


def test_the_console_has_each_services_database_and_its_own_with_the_role_that_works_in_it():
    urls = dict(one.strip().split("=", 1) for one in environment("console-web")["WAYBILL_OUTBOX_DATABASES"].split(","))
    assert sorted(urls) == sorted(EVERY)
    for service, url in urls.items():
        _of_role(url, service, "service")


def test_a_relay_speaks_for_the_service_whose_database_it_reads():
    for service in WITH_RELAY:
        assert environment(f"{service}-relay")["WAYBILL_SERVICE"] == f"{service}_service"


def test_schemas_are_registered_through_the_confluent_api():
    registry = f"http://registry:{environment('registry')['QUARKUS_HTTP_PORT']}{parts.CONFLUENT_API}"
    assert environment("register")["WAYBILL_REGISTRY_URL"] == registry


def test_registration_reaches_every_database_as_its_owner():
    urls = environment("register")["WAYBILL_OWNER_DATABASE_URLS"].split(",")
    for service, url in zip(EVERY, urls, strict=True):
        _of_role(url.strip(), service, "owner")


def _of_role(url: str, service: str, role: str) -> None:
    found = urlsplit(url)
    user = f"{service}_{role}"
    password = environment("postgres")[f"{user.upper()}_PASSWORD"]
    assert (found.username, found.password, found.path) == (user, password, f"/{service}")


def test_migrations_grant_to_the_roles_that_the_programs_have():
    for service in EVERY:
        given = environment(f"{service}-migrate")
        assert given["WAYBILL_SERVICE_ROLE"] == f"{service}_service"
        assert given.get("WAYBILL_RELAY_ROLE") == (f"{service}_relay" if service in WITH_RELAY else None)


def test_the_script_creates_the_databases_and_roles_of_the_local_stack():
    script = (CHECKOUT / "deploy" / "databases.sh").read_text()
    assert f"for service in {' '.join(EVERY)}; do" in script
    assert f"for role in {' '.join(postgres.ROLES)}; do" in script
    passwords = {f"{service}_{role}_PASSWORD".upper() for service in EVERY for role in postgres.ROLES}
    given = {name for name in environment("postgres") if name.endswith("_PASSWORD")}
    assert given == passwords | {"POSTGRES_PASSWORD", "REGISTRY_OWNER_PASSWORD"}
    assert "./deploy/databases.sh:/docker-entrypoint-initdb.d/databases.sh:ro" in COMPOSED["postgres"]["volumes"]


def test_tokens_are_checked_against_the_issuer_that_makes_them():
    for service in EVERY:
        given = environment(f"{service}-web")
        assert (given["WAYBILL_TOKEN_ISSUER"], given["WAYBILL_TOKEN_AUDIENCE"]) == (ISSUER, AUDIENCE)
        assert given["WAYBILL_JWKS_FILE"] == "/jwks/jwks.json"
        assert COMPOSED[f"{service}-web"]["volumes"] == ["jwks:/jwks:ro"]
    assert 'PUBLISHED = Path("/jwks/jwks.json")' in (CHECKOUT / "deploy" / "issue.py").read_text()


def test_the_issuers_private_key_is_in_no_other_container():
    assert [name for name in COMPOSED if any("issuer:" in v for v in COMPOSED[name].get("volumes", ()))] == ["issuer"]


def test_images_are_the_versions_of_the_local_parts_and_of_the_tests():
    lock = tomllib.loads((CHECKOUT / "devstack" / "cache" / "artifacts.toml").read_text())
    version = {one["name"]: one["version"] for part in lock.values() for one in part}
    wanted = {
        "postgres": f"postgres:{postgres.VERSION}",
        "kafka": f"apache/kafka:{version['kafka_2.13']}",
        "registry": f"apicurio/apicurio-registry:{version['apicurio-registry-app']}",
    }
    assert {name: COMPOSED[name]["image"].partition("@")[0] for name in wanted} == wanted
    assert list(wanted.values()) == [containers.POSTGRES, containers.KAFKA, containers.REGISTRY]


def test_our_images_carry_the_projects_version_and_are_built_from_one_file():
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
    for name, one in COMPOSED.items():
        if "build" in one:
            target = one["build"]["target"]
            assert one["image"] == f"waybill/{target}:{version}"
            simulated = name in {"issuer", "provider", "mailbox"}
            assert target == ("gateway" if name == "gateway" else "devstack" if simulated else "programs")
            assert f" AS {target}\n" in (CHECKOUT / one["build"]["dockerfile"]).read_text()


def test_what_imports_our_packages_is_started_from_the_folder_they_are_in():
    """`python file.py` looks beside the file, `python -m` in the working folder."""
    for name, one in COMPOSED.items():
        if one.get("image", "").startswith("waybill/"):
            assert one["command"][:2] == ["python", "-m"], name
    ready = (CHECKOUT / "deploy" / "ready.py").read_text()
    assert set(re.findall(r"^(?:import|from) (\w+)", ready, re.MULTILINE)) <= sys.stdlib_module_names


def test_no_relay_is_woken_by_a_name_that_would_be_looked_up_at_every_commit():
    assert not [name for name in COMPOSED if "WAYBILL_RELAY_WAKE_UP" in environment(name)]


def test_kafka_creates_no_topic_by_itself():
    assert topics()
    assert environment("kafka")["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("name", [name for name, one in COMPOSED.items() if "build" in one])
def test_our_containers_can_write_in_tmp_and_their_volumes_alone_and_have_no_rights(name):
    one = COMPOSED[name]
    assert one["read_only"] is True
    assert one["tmpfs"] == ["/tmp:size=64m"]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


def test_a_program_hears_its_signals_itself():
    """Without an `init` before it, a program is its container's first process, and ends by its own handler."""
    assert [name for name, one in COMPOSED.items() if "init" in one] == []
