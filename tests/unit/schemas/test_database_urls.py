"""A database URL is checked before anything connects, as libpq reads it."""

import re
from urllib.parse import quote

import pytest

from outbox_relay.databases import database_urls
from outbox_relay.operations.topology import find_topology
from outbox_relay.settings import RelaySettings
from waybill.database.postgres_client import check_url, parameters


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql://u:secret@h/d", "it does not begin with postgresql://"),
        ("postgresql://u:se%cret@h/d", "invalid percent-encoded token"),
        ("postgresql://u:secret@[::1/d", 'matching "]"'),
        ("postgresql://u:secret@h:99999/d", "its port is no number up to 65535"),
        ("postgresql://u:secret@h/d?sslmod=require", 'invalid URI query parameter: "sslmod"'),
        ("postgresql://u:secret@h/d?sslmode=always", 'invalid sslmode value: "always"'),
        ("postgresql://u:secret@h/d?connect_timeout=soon", "connect_timeout=soon"),
        ("postgresql://u:secret@h/d?service=unheard_of", 'definition of service "unheard_of" not found'),
        ("postgresql://u:secret@h", "it names no database"),
    ],
)
def test_a_malformed_url_is_told_without_its_password(url: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as refused:
        check_url(url)
    assert "cret" not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u@h/d",
        "postgres://u:p%40ss@h1:1,h2:2/d?sslmode=verify-full&sslrootcert=/ca",
        "postgresql://u@[::1]:5432/d?passfile=/secrets/pgpass",
        "postgresql:///d?host=/run/postgresql&application_name=x",
    ],
)
def test_what_libpq_takes_is_taken(url: str) -> None:
    assert check_url(url) == url


def test_what_the_url_says_of_the_connection_wins_and_what_is_relied_on_wins_over_the_url() -> None:
    told = parameters(
        "postgresql://u:p%40ss@h/d?connect_timeout=9&options=-c%20jit%3Doff%20-c%20DateStyle%3DSQL", "shop.web"
    )
    assert (told["connect_timeout"], told["password"], told["fallback_application_name"]) == ("9", "p@ss", "shop.web")
    assert told["options"].startswith("-c jit=off -c DateStyle=SQL -c DateStyle=ISO,MDY ")  # the last one counts


@pytest.mark.parametrize("options", ["-c search_path=shop", "-csearch_path=shop", "--search-path=shop -c jit=off"])
def test_the_search_path_of_a_url_says_where_the_tables_are(options: str) -> None:
    told = parameters(f"postgresql://u@h/d?options={quote(options)}", "shop.web")
    assert told["options"].startswith(f"{options} -c DateStyle=")
    assert "search_path=public" not in told["options"]


SEVERAL_HOSTS = "postgresql://u@a:1,b:2/d?target_session_attrs=any"


@pytest.mark.parametrize("spelt", [("order", "payment-x"), ("order_service", "payment-x_service")])
def test_relay_and_command_read_one_list_of_databases_in_either_spelling(spelt: tuple[str, str]) -> None:
    told = f"{spelt[0]}={SEVERAL_HOSTS}, {spelt[1]}=postgresql://u@c,d/e"
    relay = [(one.service, one.database_url) for one in RelaySettings(outbox_databases=told).outboxes]
    assert relay == [("order_service", SEVERAL_HOSTS), ("payment-x_service", "postgresql://u@c,d/e")]
    command = find_topology({"WAYBILL_OUTBOX_DATABASES": told}).databases
    assert command == {"order": SEVERAL_HOSTS, "payment-x": "postgresql://u@c,d/e"}


def test_a_service_that_is_named_in_both_spellings_is_refused() -> None:
    with pytest.raises(ValueError, match="order_service is given twice"):
        database_urls("order=postgresql://u@a/d,order_service=postgresql://u@b/d")


def test_a_list_of_databases_that_is_malformed_shows_no_password() -> None:
    with pytest.raises(ValueError, match="WAYBILL_OUTBOX_DATABASES") as refused:
        database_urls("postgresql://u:secret@h/d?sslmode=require")
    assert "secret" not in str(refused.value)
