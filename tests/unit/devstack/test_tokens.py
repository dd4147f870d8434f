"""The development issuer's tokens stand up to the check that production makes."""

import json

import jwt
import pytest

from devstack import tokens
from devstack.parts import AUDIENCE, ISSUER


@pytest.fixture
def data(tmp_path):
    tokens.prepare(tmp_path)
    return tmp_path


def claims(data, token: str) -> dict:
    (key,) = json.loads(tokens.jwks_file(data).read_text())["keys"]
    assert jwt.get_unverified_header(token) == {"alg": "EdDSA", "typ": "JWT", "kid": key["kid"]}
    return jwt.decode(token, jwt.PyJWK(key), algorithms=["EdDSA"], issuer=ISSUER, audience=AUDIENCE)


def test_a_token_is_verified_by_the_public_key(data):
    found = claims(data, tokens.mint(data, "alice", "orders inventory"))
    assert (found["sub"], found["scope"]) == ("alice", "orders inventory")


def test_the_demo_tokens_speak_for_a_customer_and_a_staff_member(data):
    found = {name: claims(data, token) for name, token in tokens.demo(data).items()}
    assert (found["customer"]["sub"], found["customer"]["scope"]) == ("demo-customer", "orders")
    assert (found["staff"]["sub"], found["staff"]["scope"]) == ("demo-staff", "orders:all inventory operations")


def test_the_demo_operator_may_do_all_at_the_console_and_the_viewer_may_look(data):
    found = {name: claims(data, token) for name, token in tokens.demo(data).items()}
    roles = ["console:view", "console:operate", "console:payload"]
    assert found["operator"]["scope"].split() == roles
    assert found["viewer"]["scope"].split() == roles[:1]


def test_the_key_stays_the_same_and_is_the_owner_s_alone(data):
    before = tokens.jwks_file(data).read_text()
    tokens.prepare(data)
    assert tokens.jwks_file(data).read_text() == before
    assert (data / "issuer" / "key.pem").stat().st_mode & 0o077 == 0
