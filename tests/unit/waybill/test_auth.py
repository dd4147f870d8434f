"""A token that was verified is not verified again for a while; it expires all the same."""

import time

import jwt
import pytest
from django.test import RequestFactory

from devstack import tokens
from devstack.harness.wait import wait_until
from waybill.rest import auth
from waybill.rest.problem import Problem
from waybill.runtime.settings import Settings


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An issuer of the test's own, whose tokens are trusted for longer than the test lasts."""
    tokens.prepare(tmp_path)
    own = Settings(
        database_url="postgresql://nobody@127.0.0.1:1/nothing",
        jwks_file=str(tokens.jwks_file(tmp_path)),
        environment="development",
        token_issuer=tokens.ISSUER,
        token_audience=tokens.AUDIENCE,
    )
    monkeypatch.setattr(auth, "settings", lambda: own)
    monkeypatch.setattr(auth, "TRUSTED_SECONDS", 1e9)
    return tmp_path


def subject(token):
    return auth.Bearer().authenticate(RequestFactory().get("/"), token).subject


def refused(token):
    try:
        subject(token)
    except Problem:
        return True
    return False


def test_a_token_that_was_good_a_moment_ago_is_refused_once_it_has_expired(folder):
    token = tokens.mint(folder, "ann", "orders", 2 - auth.LEEWAY_SECONDS)
    assert subject(token) == "ann"
    wait_until(lambda: refused(token), deadline_seconds=10, what="refused")


def signed(folder, claims):
    """A token of the issuer's with these claims."""
    return jwt.encode(claims, tokens.read_key(folder), algorithm="EdDSA", headers={"kid": tokens.KEY_ID})


def moved(folder, seconds):
    """A token of an issuer whose clock is so far ahead of ours, or behind; good for a minute by that clock."""
    now = int(time.time()) + seconds
    claims = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "sub": "ann", "iat": now, "nbf": now, "exp": now + 60}
    return signed(folder, claims)


def test_a_token_of_an_issuer_whose_clock_is_two_seconds_ahead_is_taken(folder):
    assert subject(moved(folder, 2)) == "ann"


def test_a_token_that_expired_two_seconds_ago_is_taken_the_first_time_and_again(folder):
    token = moved(folder, -62)
    assert [subject(token), subject(token)] == ["ann", "ann"]


@pytest.mark.parametrize("seconds", [60, -90])
def test_a_clock_that_is_further_off_than_the_leeway_is_refused(folder, seconds):
    assert refused(moved(folder, seconds))


def test_an_expiry_that_is_written_as_a_text_is_read_as_the_number_it_is(folder):
    claims = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "sub": "ann", "exp": str(int(time.time()) + 60)}
    assert subject(signed(folder, claims)) == "ann"


def test_a_token_is_known_by_all_of_it(folder):
    token = tokens.mint(folder, "ann", "orders", 60)
    assert subject(token) == "ann"
    head, _, signature = token.split(".")
    other = jwt.encode({**jwt.decode(token, options={"verify_signature": False}), "sub": "bob"}, "x" * 64)
    assert refused(f"{head}.{other.split('.')[1]}.{signature}")
