"""The API server's REST, as much as is asked here: apply, create, read, and what an account may do."""

import json
import ssl
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx2 as httpx

from tests.support.kubernetes.rendering import Manifest

MANAGER: Final = "waybill"
OK: Final = 300
REFUSED: Final = {400, 403, 422, 500}  # 500: what is applied has a field that its kind lacks


class Unanswered(Exception):
    """The server does not answer yet."""


class Refused(Exception):
    """The server refused an object; its message says why."""


class Api:
    """One API server."""

    def __init__(self, url: str, token: str, certificate: Path) -> None:
        self._url, self._token, self._certificate = url, token, certificate
        self._client: httpx.Client | None = None
        self._plural: dict[tuple[str, str], tuple[str, bool]] = {}

    def client(self) -> httpx.Client:
        """Return the client, made once the server has written its certificate."""
        if self._client is None:
            if not self._certificate.exists():
                raise Unanswered
            self._client = httpx.Client(
                base_url=self._url,
                headers={"Authorization": f"Bearer {self._token}"},
                verify=ssl.create_default_context(cafile=str(self._certificate)),
                timeout=30,
                trust_env=False,
            )
        return self._client

    def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            self._client.close()

    def is_ready(self) -> bool:
        """Tell whether the server says that it is ready. Raises Unanswered."""
        try:
            return self.client().get("/readyz").status_code == httpx.codes.OK
        except (httpx.TransportError, ssl.SSLError) as error:
            raise Unanswered from error

    def ask(self, method: str, path: str, body: Any = None, **options: str) -> httpx.Response:
        """Send a request and return its answer, whatever the status is."""
        patch = method == "PATCH"
        headers = {"Content-Type": f"application/{'apply-patch+yaml' if patch else 'json'}"}
        content = None if body is None else json.dumps(body)
        return self.client().request(method, path, content=content, headers=headers, params=options)

    def get(self, path: str, **options: str) -> Any:
        """Return what stands there."""
        answer = self.ask("GET", path, **options)
        assert answer.status_code == httpx.codes.OK, (path, answer.status_code, answer.text)
        return answer.json()

    def apply(self, one: Manifest, *, dry_run: bool = False) -> tuple[Manifest, list[str]]:
        """Apply an object server-side, unknown fields refused; return it as it is kept, and the server's warnings.

        Raises:
            Refused: the server does not take it.

        """
        options = {"fieldManager": MANAGER, "fieldValidation": "Strict", "force": "false"}
        return self._sent("PATCH", self._path(one, one["metadata"]["name"]), one, options, dry_run=dry_run)

    def create(self, one: Manifest, *, dry_run: bool = False) -> tuple[Manifest, list[str]]:
        """Create an object. Raises Refused."""
        return self._sent("POST", self._path(one), one, {"fieldValidation": "Strict"}, dry_run=dry_run)

    def _sent(
        self, method: str, path: str, one: Manifest, options: dict[str, str], *, dry_run: bool
    ) -> tuple[Manifest, list[str]]:
        answer = self.ask(method, path, one, **options, **({"dryRun": "All"} if dry_run else {}))
        if answer.status_code in REFUSED:
            raise Refused(answer.json()["message"])
        assert answer.status_code < OK, (path, answer.status_code, answer.text)
        return answer.json(), answer.headers.get_list("warning")

    def _path(self, one: Manifest, name: str = "") -> str:
        version = one["apiVersion"]
        plural, is_namespaced = self._kind(version, one["kind"])
        within = f"/namespaces/{one['metadata']['namespace']}" if is_namespaced else ""
        return f"{root(version)}{within}/{plural}{f'/{name}' if name else ''}"

    def _kind(self, version: str, kind: str) -> tuple[str, bool]:
        if (version, kind) not in self._plural:
            for one in self.get(root(version))["resources"]:
                if "/" not in one["name"]:
                    self._plural[version, one["kind"]] = one["name"], one["namespaced"]
        return self._plural[version, kind]

    def has(self, one: Manifest) -> bool:
        """Tell whether the server knows the object's kind at all."""
        answer = self.ask("GET", root(one["apiVersion"]))
        kinds = answer.json().get("resources", []) if answer.status_code == httpx.codes.OK else []
        return any(resource["kind"] == one["kind"] for resource in kinds)

    def kept(self, objects: Iterable[Manifest]) -> tuple[Manifest, ...]:
        """Return these objects as the server has them now."""
        return tuple(self.get(self._path(one, one["metadata"]["name"])) for one in objects)

    def review(self, kind: str, spec: Mapping[str, Any], *, as_user: str = "") -> Any:
        """Return the status of an authorization review, asked in somebody's place where one is named."""
        group = "authorization.k8s.io/v1"
        body = {"apiVersion": group, "kind": kind, "spec": dict(spec)}
        headers = {"Impersonate-User": as_user} if as_user else {}
        answer = self.client().post(f"/apis/{group}/{kind.lower()}s", json=body, headers=headers)
        assert answer.status_code == httpx.codes.CREATED, (answer.status_code, answer.text)
        return answer.json()["status"]


def root(version: str) -> str:
    """Return the path below which a version's kinds are."""
    return f"/apis/{version}" if "/" in version else f"/api/{version}"
