"""An issuer that one signs in at: OpenID Connect's code flow as far as a client of it goes, over HTTP."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

from devstack import tokens

SECRET = "s3cret"


class Issuer(ThreadingHTTPServer):
    """Signs in whoever comes as ann, gives a code once, and a token for the code and its verifier."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder, self.codes, self.scope = folder, dict[str, tuple[str, str]](), ""

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def settings(self) -> dict[str, str]:
        """What a client is told of it."""
        return {
            "WAYBILL_CONSOLE_OIDC_AUTHORIZE_URL": f"{self.base}/authorize",
            "WAYBILL_CONSOLE_OIDC_TOKEN_URL": f"{self.base}/token",
            "WAYBILL_CONSOLE_OIDC_CLIENT_ID": "console",
            "WAYBILL_CONSOLE_OIDC_CLIENT_SECRET": SECRET,
        }


class _Handler(BaseHTTPRequestHandler):
    server: Issuer

    def do_GET(self) -> None:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        good = asked["response_type"] == "code" and asked["code_challenge_method"] == "S256"
        if not good or asked["client_id"] != "console":
            return self._answer(400, {"error": "invalid_request"})
        code = f"code-{len(self.server.codes)}"
        self.server.codes[code] = (asked["code_challenge"], asked["redirect_uri"])
        self.server.scope = asked["scope"]
        self.send_response(302)
        self.send_header("Location", f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}")
        self.end_headers()
        return None

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        given = {name: values[0] for name, values in body.items()}
        challenge, address = self.server.codes.pop(given["code"], ("", ""))
        verified = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=")
        client = "Basic " + base64.b64encode(f"console:{SECRET}".encode()).decode()
        if (verified.decode(), given["redirect_uri"], self.headers["Authorization"]) != (challenge, address, client):
            return self._answer(400, {"error": "invalid_grant"})
        return self._answer(200, {"access_token": tokens.mint(self.server.folder, "ann", self.server.scope)})

    def _answer(self, status: int, said: dict[str, str]) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(said).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def issuer(folder: Path) -> Iterator[Issuer]:
    """Run one whose keys are in the folder."""
    tokens.prepare(folder)
    with Issuer(folder) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        try:
            yield running
        finally:
            running.shutdown()
