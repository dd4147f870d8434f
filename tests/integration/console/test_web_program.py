"""The web program as it runs: a browser's way in by a token, and what its own server adds to an answer."""

import re

import httpx2 as httpx
import pytest

from tests.support.programs import Program, program


@pytest.fixture(scope="module")
def running(console_databases):
    """The web program, on databases of its own."""
    with (
        console_databases.fresh("console_service") as own,
        console_databases.fresh("order_service") as order,
        program("console", own.service_url, WAYBILL_OUTBOX_DATABASES=f"order={order.service_url}") as started,
    ):
        started.wait_for("the console ready", lambda: started.unready() is None, 60)
        yield started


@pytest.fixture
def browser(running: Program):
    with httpx.Client(base_url=running.base, timeout=30, trust_env=False, headers={"Origin": running.base}) as client:
        yield client


def sign_in(browser: httpx.Client, token: str, target: str = "/") -> httpx.Response:
    form = browser.get("/login").text
    csrf, *_ = re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', form)
    return browser.post("/login", data={"csrfmiddlewaretoken": csrf, "token": token, "next": target})


def test_a_token_of_the_issuer_signs_in_and_the_session_shows_pages(running, browser):
    response = sign_in(browser, running.token("console:view console:operate other"), "/orders?open=1")
    assert (response.status_code, response.headers["Location"]) == (302, "/orders?open=1")
    (cookie,) = response.headers.get_list("set-cookie")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    page = browser.get("/")
    assert page.status_code == 200
    assert "ann" in page.text
    assert "looks only" not in page.text


def test_whoever_may_only_look_is_told_so(running, browser):
    sign_in(browser, running.token("console:view"))
    assert "looks only" in browser.get("/").text


@pytest.mark.parametrize(("scopes", "status"), [("orders", 403), ("", 403), (None, 401)])
def test_no_other_token_signs_in(running, browser, scopes, status):
    token = "nonsense" if scopes is None else running.token(scopes)
    response = sign_in(browser, token)
    assert response.status_code == status
    assert "Not signed in" in response.text
    assert browser.get("/").status_code == 302


@pytest.mark.parametrize("target", ["https://elsewhere.example/", "//elsewhere.example", "javascript:alert(1)"])
def test_signing_in_leads_to_no_other_site(running, browser, target):
    assert sign_in(browser, running.token("console:view"), target).headers["Location"] == "/"


def test_a_session_of_before_the_sign_in_is_none_after_it(running, browser):
    sign_in(browser, running.token("console:view"))
    before = browser.cookies["console"]
    sign_in(browser, running.token("console:view"))
    assert browser.cookies["console"] != before
    with httpx.Client(base_url=running.base, trust_env=False, cookies={"console": before}) as thief:
        assert thief.get("/").status_code == 302


def test_each_header_is_there_once_and_forms_keep_their_origin(browser):
    response = browser.get("/login")
    names = [name for name, _ in response.headers.multi_items() if name != "set-cookie"]
    assert len(names) == len(set(names))
    # Under `no-referrer` a browser's form says `Origin: null`, which no check of CSRF takes.
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert "unsafe" not in response.headers["Content-Security-Policy"]


def test_it_answers_for_its_own_host_alone_and_has_its_health_elsewhere(running, browser):
    assert browser.get("/login", headers={"Host": "elsewhere.example"}).status_code == 421
    assert browser.get("/metrics").status_code == 404
    assert running.ask("/livez")[0] == 200
    assert "http_request_seconds" in running.ask("/metrics")[1]
