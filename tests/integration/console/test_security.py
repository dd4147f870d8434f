"""Who may do what at the console, by trying; and what every answer says to browsers."""

import re
from collections.abc import Iterator
from types import ModuleType
from uuid import UUID

import pytest
from django.db import connection
from django.http import QueryDict
from django.test import Client, override_settings
from django.urls import URLPattern, get_resolver, path, reverse

from console_service import urls
from console_service.web.access import Role
from console_service.web.action import Action, Plan, Refused, _given
from console_service.web.databases import change
from console_service.web.masking import MASK, masked
from console_service.web.page import SCREENS
from outbox_relay.operations import pause
from tests.support.console import confirmed, note

ORDER = "018f0000-0000-7000-8000-000000000001"
ADDRESS = "do/pause"
MEANT = {"service": "order", "reason": "the broker moves"}
done: list[str] = []


def _plan(asked) -> Plan:
    if asked.fields.get("service") == "nothing":
        raise Refused("there is nothing to pause")
    return Plan(f"The relay of {asked.fields['service']} publishes nothing", bound=[asked.fields["service"], *done])


def _execute(asked) -> str:
    change(asked.fields["service"], lambda name, open_: pause.begin(name, open_, asked.by, asked.reason))
    return f"{asked.fields['service']} is paused"


tried = Action("pause", back="overview", plan=_plan, execute=_execute)


@pytest.fixture
def acting(services) -> Iterator[None]:
    """One address more, of an action of the test's own."""
    done.clear()
    more = ModuleType("more_urls")
    vars(more).update(vars(urls), urlpatterns=[*urls.urlpatterns, path(ADDRESS, tried, name="tried")])
    with override_settings(ROOT_URLCONF=more):
        yield


def patterns() -> list[URLPattern]:
    return [one for one in get_resolver("console_service.urls").url_patterns if isinstance(one, URLPattern)]


def actions() -> list[str]:
    return [str(one.pattern) for one in patterns() if isinstance(one.callback, Action)]


def seal_of(response) -> str:
    found = re.search(r'name="seal" value="([^"]+)"', response.content.decode())
    assert found, response.content.decode()
    return found[1]


def recorded() -> list[tuple[str, str, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT operator, verb, reason FROM waybill_operator_action ORDER BY id")
        return cursor.fetchall()


def paused(services) -> bool:
    return change("order", pause.read) is not None


def test_whoever_is_not_signed_in_sees_the_sign_in_page_alone(console_database, pages):
    client = Client(headers={"Origin": "https://testserver"})
    for pattern in patterns():
        plain = str(pattern.pattern).replace("<uuid:", f"{UUID(int=7)}<")
        address = "/" + re.sub(r"<[^>]+>", "", plain.replace("<str:", "x<"))
        response = client.get(address)
        if getattr(pattern.callback, "for_all", False):
            assert pattern.name in {"login", "login-start", "callback", "asset"}
        else:
            assert response.status_code == 302, address
            assert response.headers["Location"].startswith("/login?next=")
            assert client.post(address).status_code in {401, 403}


def test_a_poll_of_whoever_was_signed_out_leads_the_page_to_the_sign_in(console_database, pages):
    response = Client().get("/", headers={"HX-Request": "true"})
    assert (response.status_code, response.headers["HX-Redirect"]) == (401, "/login")


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "patch", "options"])
def test_nothing_is_done_by_another_method_than_post(console, acting, method):
    for address in [ADDRESS, "logout", *actions()]:
        assert getattr(console, method)(f"/{address}", MEANT).status_code == 405, address
    assert recorded() == []


def test_a_form_of_another_site_does_nothing(sign_in, acting, services):
    client = sign_in(*Role, enforce_csrf_checks=True)
    for address in [ADDRESS, "logout", "login", *actions()]:
        assert client.post(f"/{address}", MEANT).status_code == 403, address
        client.cookies["__Host-console-csrf"] = "a" * 32
        form = {**MEANT, "csrfmiddlewaretoken": "a" * 32}
        foreign = client.post(f"/{address}", form, headers={"Origin": "https://elsewhere.example"})
        assert foreign.status_code == 403, address
    assert not paused(services)


@pytest.mark.parametrize("roles", [(), (Role.VIEW,), (Role.PAYLOAD,), (Role.VIEW, Role.PAYLOAD)])
def test_nobody_acts_without_the_role_operate(sign_in, acting, services, roles):
    client = sign_in(*roles)
    for address in [ADDRESS, *actions()]:
        assert client.post(f"/{address}", MEANT).status_code == 403, address
    assert not paused(services)
    assert recorded() == []


def test_nobody_looks_without_the_role_view(sign_in, services):
    client = sign_in(Role.OPERATE, Role.PAYLOAD)
    for screen in SCREENS:
        assert client.get(reverse(screen.name)).status_code == 403, screen


def test_an_action_is_a_dry_run_first_then_done_and_on_record_on_both_sides(console, acting, services):
    dry_run = console.post(f"/{ADDRESS}", MEANT)
    assert b"publishes nothing" in dry_run.content
    assert (paused(services), recorded()) == (False, [])
    response = console.post(f"/{ADDRESS}", {**MEANT, "seal": seal_of(dry_run)})
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert paused(services)
    assert recorded() == [("ann", "console pause", "the broker moves")]
    (theirs,) = change(
        "order", lambda _, open_: open_.execute("SELECT operator, verb, reason FROM waybill_operator_action").fetchall()
    )
    assert theirs == ("ann", "pause", "the broker moves")
    assert b"order is paused" in console.get("/").content


@pytest.mark.parametrize("other", [{"service": "payment"}, {"reason": "another one"}, {"more": "1"}])
def test_a_seal_is_for_the_exact_fields_that_were_shown(console, acting, services, other):
    seal = seal_of(console.post(f"/{ADDRESS}", MEANT))
    response = console.post(f"/{ADDRESS}", {**MEANT, **other, "seal": seal})
    assert b"not what you were shown" in response.content
    assert not paused(services)


def test_a_seal_is_for_the_plan_that_was_shown_and_for_nobody_else(console, sign_in, acting, services):
    seal = seal_of(console.post(f"/{ADDRESS}", MEANT))
    assert b"not what you" in sign_in(*Role, subject="bob").post(f"/{ADDRESS}", {**MEANT, "seal": seal}).content
    done.append("one more dead letter")
    assert b"not what you" in console.post(f"/{ADDRESS}", {**MEANT, "seal": seal}).content
    assert not paused(services)


def test_an_action_needs_a_reason_and_says_why_it_is_refused(console, acting, services):
    assert console.post(f"/{ADDRESS}", {**MEANT, "reason": " "}).status_code == 422
    refused = console.post(f"/{ADDRESS}", {**MEANT, "service": "nothing"})
    assert refused.status_code == 422
    assert b"there is nothing to pause" in refused.content


def test_every_answer_says_a_policy_without_anything_inline(console, services):
    note(confirmed(UUID(ORDER)))
    for screen in [*(reverse(one.name) for one in SCREENS), f"/orders/{ORDER}"]:
        response = console.get(screen)
        assert response.status_code == 200, screen
        policy = response.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        text = response.content.decode()
        assert not re.search(r"<style|style=|<script(?![^>]* src=)| on\w+=|javascript:", text), screen
        assert response.headers["Cache-Control"] == "no-store"


def test_cookies_go_over_tls_to_this_host_alone_and_no_script_reads_them(sign_in, pages):
    client = sign_in(*Role)
    client.get("/login")
    csrf = client.cookies["__Host-console-csrf"]
    assert (csrf["secure"], csrf["httponly"], csrf["samesite"], csrf["path"], csrf["domain"]) == (
        *(True, True),
        *("Lax", "/", ""),
    )


def test_a_payload_keeps_its_names_and_nothing_of_what_it_says():
    payload = {"order_id": "1", "customer_id": "ann", "total": 5, "lines": [{"sku": "LAMP"}], "none": None}
    assert masked(payload) == {
        "order_id": "1",
        "customer_id": MASK,
        "total": MASK,
        "lines": [{"sku": MASK}],
        "none": None,
    }


def test_signing_out_ends_the_session_on_the_server(console, services):
    key = console.cookies["__Host-console"].value
    assert console.post("/logout").status_code == 302
    console.cookies["__Host-console"] = key
    assert console.get("/").status_code == 302
    assert recorded() == [("ann", "console sign-out", "")]


def test_no_field_of_ours_counts_as_what_is_meant():
    assert _given(QueryDict("b=2&a=1&a=0&reason=x&seal=y&csrfmiddlewaretoken=z")) == [["a", ["1", "0"]], ["b", ["2"]]]
