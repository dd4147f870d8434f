"""The development issuer: one Ed25519 key a stack, its public half as a JWKS file, and tokens signed with it."""

from __future__ import annotations

import base64
import json
import time
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from devstack.parts import AUDIENCE, ISSUER

if TYPE_CHECKING:
    from pathlib import Path

KEY_ID = "devstack"
# A token outlives any sitting in front of a development stack; its key dies with the stack's data.
LIFETIME_SECONDS = 365 * 24 * 3600
SESSION_SECONDS = 12 * 3600  # a link is for one sitting
OPERATOR, VIEWER = "console:view console:operate console:payload", "console:view"
DEMO = {
    "customer": ("demo-customer", "orders"),
    "staff": ("demo-staff", "orders:all inventory operations"),
    "operator": ("demo-operator", OPERATOR),
    "viewer": ("demo-viewer", VIEWER),
}


def jwks_file(data: Path) -> Path:
    """Name the file with the issuer's public key."""
    return data / "issuer" / "jwks.json"


def prepare(data: Path) -> None:
    """Make the issuer's key where there is none, and the JWKS file from it."""
    home = data / "issuer"
    home.mkdir(mode=0o700, exist_ok=True)
    secret = home / "key.pem"
    if not secret.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        draft = home / "key.pem.draft"
        draft.touch(mode=0o600)
        draft.write_bytes(pem)
        draft.replace(secret)
    public = read_key(data).public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    x = base64.urlsafe_b64encode(public).rstrip(b"=").decode()
    key = {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": KEY_ID, "use": "sig", "alg": "EdDSA", "development": True}
    draft = home / "jwks.json.draft"
    draft.write_text(json.dumps({"keys": [key]}))
    draft.replace(jwks_file(data))


def read_key(data: Path) -> Ed25519PrivateKey:
    """Return the issuer's private key.

    Raises:
        FileNotFoundError: the stack was never started.

    """
    key = serialization.load_pem_private_key((data / "issuer" / "key.pem").read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise FileNotFoundError(data / "issuer" / "key.pem")
    return key


def mint(data: Path, subject: str, scope: str, lifetime_seconds: int = LIFETIME_SECONDS) -> str:
    """Return a signed token for the subject, with space-separated scopes."""
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "scope": scope,
        "iat": now,
        "nbf": now,
        "exp": now + lifetime_seconds,
    }
    return jwt.encode(claims, read_key(data), algorithm="EdDSA", headers={"kid": KEY_ID})


def demo(data: Path) -> dict[str, str]:
    """Return the tokens that go into state.json."""
    return {name: mint(data, subject, scope) for name, (subject, scope) in DEMO.items()}
