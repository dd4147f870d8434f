"""POST /v1/orders for an engine: the token checked, the idempotency key made the order's id, the saga begun, 202."""

import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from steps import id_of

TRUSTED_SECONDS = 60  # as this system trusts a token that it has verified


class Tokens:
    """The issuer's key, and the tokens that were verified a moment ago."""

    def __init__(self) -> None:
        told = os.environ
        keys = json.loads(Path(told["PEER_JWKS_FILE"]).read_text())["keys"]
        self._key = jwt.PyJWK(keys[0])
        self._issuer, self._audience = told["PEER_ISSUER"], told["PEER_AUDIENCE"]
        self._known: dict[str, tuple[float, str]] = {}

    def subject(self, authorization: str) -> str | None:
        """Return whose token it is; None where it proves nobody."""
        scheme, _, token = authorization.partition(" ")
        known = self._known.get(token)
        if known and known[0] > time.monotonic():
            return known[1]
        if scheme.lower() != "bearer":
            return None
        try:
            claims = jwt.decode(token, self._key, algorithms=["EdDSA"], audience=self._audience, issuer=self._issuer)
        except jwt.PyJWTError:
            return None
        self._known[token] = (time.monotonic() + TRUSTED_SECONDS, claims["sub"])
        return str(claims["sub"])


def application(begin: Callable[[dict[str, Any]], Awaitable[None]]) -> Starlette:
    """Return the application; `begin` takes an order, and returns once the engine will carry it to its end."""
    tokens = Tokens()

    async def place(request: Request) -> Response:
        subject = tokens.subject(request.headers.get("authorization", ""))
        key = request.headers.get("idempotency-key")
        if subject is None or not key:
            return JSONResponse({"title": "a token and an idempotency key"}, 400 if subject else 401)
        body = await request.json()
        order = {
            "id": id_of(subject, key),
            "customer": subject,
            "lines": [{"sku": str(line["sku"]), "quantity": int(line["quantity"])} for line in body["lines"]],
            "payment_method": str(body["payment_method"]),
        }
        await begin(order)
        return JSONResponse({"id": order["id"], "status": "PENDING"}, 202)

    return Starlette(routes=[Route("/v1/orders", place, methods=["POST"])])


async def serve(app: Starlette) -> None:
    """Serve until told to stop."""
    port = int(os.environ["PEER_PORT"])
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error", access_log=False, backlog=1024)
    await uvicorn.Server(config).serve()
