"""An issuer's keys: a removed one dies, an absent issuer harms nobody whose key is known, and no token is our error."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.test import RequestFactory

from devstack import tokens
from devstack.harness.wait import wait_until
from waybill.rest import auth, keys
from waybill.rest.problem import Problem
from waybill.runtime.settings import Settings

ISSUER, AUDIENCE = "issuer", "audience"
RSA = rsa.generate_private_key(65537, 2048)


class Issuer:
    """An issuer with keys that come and go, and an address that answers what the test wants."""

    def __init__(self) -> None:
        self.secrets = {"first": Ed25519PrivateKey.generate()}
        self.status, self.body, self.fetches = 200, None, 0

    def jwks(self) -> bytes:
        found = []
        for key_id, secret in self.secrets.items():
            x = base64.urlsafe_b64encode(secret.public_key().public_bytes_raw()).rstrip(b"=").decode()
            found.append({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key_id, "use": "sig", "alg": "EdDSA"})
        return json.dumps({"keys": found}).encode()

    def token(self, key_id: str = "first", secret=None, algorithm: str = "EdDSA", **claims) -> str:
        given = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 600, **claims}
        return jwt.encode(given, secret or self.secrets[key_id], algorithm=algorithm, headers={"kid": key_id})


@contextmanager
def serving(issuer: Issuer) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetches += 1
            body = issuer.body if issuer.body is not None else issuer.jwks()
            self.send_response(issuer.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/keys"
        server.shutdown()


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def use(monkeypatch):
    """Let tokens be checked by these settings."""
    used = []

    def use(**given) -> keys.KeySource:
        own = Settings(
            database_url="postgresql://nobody@127.0.0.1:1/nothing",
            token_issuer=ISSUER,
            token_audience=AUDIENCE,
            **given,
        )
        monkeypatch.setattr(auth, "settings", lambda: own)
        source = keys.source(own)
        used.append(source)
        wait_until(lambda: source.unready() is None, deadline_seconds=10, what="keys")
        return source

    monkeypatch.setattr(keys, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(keys, "LOOK_SECONDS", 0.0)
    yield use
    for source in used:
        if isinstance(source, keys.KeyUrl):
            source.stop()


def answer(token: str) -> int:
    """The status that a request with the token would get; 200 where it is good."""
    try:
        auth.Bearer().authenticate(RequestFactory().get("/"), token)
    except Problem as problem:
        return problem.status
    return 200


def test_a_key_that_the_issuer_removed_is_refused_within_the_refresh(issuer, use):
    with serving(issuer) as url:
        use(jwks_url=url, jwks_refresh_seconds=0.2)
        token = issuer.token()
        assert answer(token) == 200
        issuer.secrets = {"second": Ed25519PrivateKey.generate()}
        wait_until(lambda: answer(token) == 401, deadline_seconds=5, what="the removed key is refused")
        assert answer(issuer.token("second")) == 200


def test_known_keys_go_on_while_the_issuer_is_away_and_others_get_503(issuer, use):
    with serving(issuer) as url:
        source = use(jwks_url=url, jwks_refresh_seconds=0.1)
        token, stranger = issuer.token(), issuer.token("nobody's", Ed25519PrivateKey.generate())
        assert [answer(token), answer(stranger)] == [200, 401]
        issuer.status = 500
        wait_until(lambda: answer(stranger) == 503, deadline_seconds=5, what="nobody can tell")
        assert answer(token) == 200
        issuer.status, issuer.body = 200, b"<html>we are moving</html>"
        seen = issuer.fetches
        wait_until(lambda: issuer.fetches > seen + 1, deadline_seconds=5, what="another fetch")
        assert [answer(token), answer(stranger)] == [200, 503]
        source._fetched_at = time.monotonic() - 90_000  # more than a day ago
        assert answer(token) == 503
        issuer.body = None
        wait_until(lambda: answer(token) == 200, deadline_seconds=5, what="the issuer is back")


def test_tokens_by_made_up_keys_wait_for_nothing_and_cost_the_issuer_a_fetch_in_a_while(issuer, use):
    with serving(issuer) as url:
        use(jwks_url=url, jwks_refresh_seconds=60)
        made_up = [issuer.token(f"key {n}", Ed25519PrivateKey.generate()) for n in range(300)]
        before, began = issuer.fetches, time.monotonic()
        assert {answer(token) for token in made_up} == {401}
        seconds = time.monotonic() - began
        assert seconds < 3
        assert issuer.fetches - before <= seconds / keys.PAUSE_SECONDS + 1


def test_a_key_that_replaces_another_in_the_file_is_seen(issuer, use, tmp_path):
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    use(jwks_file=str(file))
    old = issuer.token()
    assert answer(old) == 200
    file.write_text("<html>")
    assert answer(old) == 200
    issuer.secrets = {"second": Ed25519PrivateKey.generate()}
    file.write_bytes(issuer.jwks())
    assert [answer(old), answer(issuer.token("second"))] == [401, 200]


def test_a_development_issuers_keys_are_refused_unless_a_setting_allows_them(tmp_path):
    tokens.prepare(tmp_path)
    given = {"database_url": "postgresql://nobody@127.0.0.1:1/nothing", "jwks_file": str(tokens.jwks_file(tmp_path))}
    with pytest.raises(SystemExit, match="WAYBILL_ENVIRONMENT=development"):
        keys.source(Settings(**given))
    assert keys.source(Settings(**given, environment="development")).current().ids() == [tokens.KEY_ID]


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def shapes(issuer: Issuer) -> dict[str, str]:
    return {
        "RS256 for an Ed25519 key": "eyJhbGciOiAiUlMyNTYifQ.e30.eA",
        "RS256, signed, for an Ed25519 key": issuer.token("first", RSA, "RS256"),
        "no signature": encoded('{"alg":"none","kid":"first"}') + "." + encoded('{"sub":"ann","exp":9999999999}') + ".",
        "a public key as a secret": issuer.token("first", "x" * 64, "HS256"),
        "expiry as a word": issuer.token(exp="soon"),
        "expiry as a list": issuer.token(exp=[1]),
        "expiry beyond all numbers": issuer.token(exp=10**400),
        "expiry that is infinite": issuer.token(exp=float("inf")),
        "no subject": issuer.token(sub=None),
        "an empty subject": issuer.token(sub=""),
        "a blank subject": issuer.token(sub="  "),
        "a subject with a NUL": issuer.token(sub="ann\0"),
        "a subject with half a surrogate": issuer.token(sub="\ud800"),
        "a subject of 300 characters": issuer.token(sub="a" * 300),
        "a number as the subject": issuer.token(sub=7),
        "a number as the scope": issuer.token(scope=7),
        "scopes that are no words": issuer.token(scope=[["orders"]]),
        "a number as the audience": issuer.token(aud=7),
        "a key id that is a list": encoded('{"alg":"EdDSA","kid":[1]}') + ".e30.eA",
        "a header that is a list": encoded("[]") + ".e30.eA",
        "a header 5,000 deep": encoded("[" * 5000) + ".e30.eA",
        "claims that are a list": encoded('{"alg":"EdDSA"}') + "." + encoded("[]") + ".eA",
        "no base64": "ä.ö.ü",
        "8 kB of one letter": "a" * 9000,
        "critical extensions": encoded('{"alg":"EdDSA","kid":"first","crit":["x"],"x":1}') + ".e30.eA",
    }


@pytest.mark.parametrize("shape", shapes(Issuer()))
def test_no_token_of_any_shape_is_an_error_of_ours(issuer, use, tmp_path, shape):
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    use(jwks_file=str(file))
    token = shapes(issuer)[shape]
    with pytest.raises(Problem) as refused:
        auth.Bearer().authenticate(RequestFactory().get("/"), token)
    assert refused.value.status == 401
    assert refused.value.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token", error_description="')


def test_scopes_may_be_a_text_or_an_array(issuer, use, tmp_path):
    file = tmp_path / "jwks.json"
    file.write_bytes(issuer.jwks())
    use(jwks_file=str(file))
    for scope in ("orders inventory", ["orders", "inventory"]):
        caller = auth.Bearer().authenticate(RequestFactory().get("/"), issuer.token(scope=scope))
        assert caller.scopes == {"orders", "inventory"}
        with pytest.raises(Problem) as refused:
            caller.require("operations")
        assert 'error="insufficient_scope", scope="operations"' in refused.value.headers["WWW-Authenticate"]
