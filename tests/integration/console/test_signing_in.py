"""Signing in at the issuer itself, by the real web program and an issuer that one signs in at."""

from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx
import pytest

from devstack import tokens
from tests.support.issuer import Issuer, issuer
from tests.support.programs import Program, program


@pytest.fixture(scope="module")
def at(tmp_path_factory):
    with issuer(tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module")
def running(console_databases, at: Issuer):
    with (
        console_databases.fresh("console_service") as own,
        program(
            "console",
            own.service_url,
            WAYBILL_OUTBOX_DATABASES=f"order={own.service_url}",
            WAYBILL_JWKS_FILE=str(tokens.jwks_file(at.folder)),
            **at.settings,
        ) as started,
    ):
        started.wait_for("the console ready", lambda: started.unready() is None, 60)
        yield started


@pytest.fixture
def browser(running: Program):
    with httpx.Client(base_url=running.base, timeout=30, trust_env=False) as client:
        yield client


def test_the_issuer_signs_in_and_leads_to_where_one_wanted_to_go(browser, at):
    assert "Sign in at your organisation" in browser.get("/login").text
    asked = browser.get("/login/start?next=/audit").headers["Location"]
    assert asked.startswith(f"{at.base}/authorize?")
    back = browser.get(asked).headers["Location"]
    signed_in = browser.get(back)
    assert (signed_in.status_code, signed_in.headers["Location"]) == (302, "/audit")
    assert "console sign-in" in browser.get("/audit").text
    assert browser.get(back).status_code == 403  # the answer is good once


def test_the_answer_to_another_browsers_question_signs_nobody_in(running, browser):
    with httpx.Client(base_url=running.base, timeout=30, trust_env=False) as stranger:
        back = stranger.get(stranger.get("/login/start").headers["Location"]).headers["Location"]
    browser.get("/login/start")
    response = browser.get(back)
    assert response.status_code == 403
    assert "no question of this browser" in response.text
    assert browser.get("/").status_code == 302


def test_a_code_that_the_issuer_does_not_know_signs_nobody_in(browser):
    asked = browser.get("/login/start").headers["Location"]
    (state,) = parse_qs(urlsplit(asked).query)["state"]
    response = browser.get(f"/callback?code=made-up&state={state}")
    assert response.status_code == 503
    assert browser.get("/").status_code == 302


def test_the_issuers_refusal_is_told(browser):
    asked = browser.get("/login/start").headers["Location"]
    (state,) = parse_qs(urlsplit(asked).query)["state"]
    response = browser.get(f"/callback?error=access_denied&state={state}")
    assert response.status_code == 403
    assert "access_denied" in response.text


def test_it_leads_to_no_other_site(browser):
    asked = browser.get("/login/start?next=https://elsewhere.example/").headers["Location"]
    assert browser.get(browser.get(asked).headers["Location"]).headers["Location"] == "/"
