"""The registry's Confluent API: how it is reached, and every way it can say no as one line that no secret is in.

Where it is away, it is waited for. Where waiting does not help (a wrong password, a certificate that nobody vouches
for) the line names the setting to look at.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Final, Self

import httpx2
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict

from waybill.registry.reach import NotYet
from waybill.secret_settings import SecretSettings

_CALL_SECONDS: Final = 20.0  # of one call: registries compare a schema with all versions before they answer
_SHOWN_CHARACTERS: Final = 200  # of an answer that is no JSON, as a proxy's page
_NOT_FOUND: Final = 404
_APICURIO_CONFLUENT_API: Final = "/apis/ccompat/"
_CONTENT_TYPE: Final = {"Content-Type": "application/vnd.schemaregistry.v1+json"}
_WHO_ASKS: Final = "WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_PASSWORD, or WAYBILL_REGISTRY_TOKEN"


class RegistrationRefused(Exception):
    """The registry refuses a schema or us, or a database cannot take the ids; repeating does not help."""


class Access(SecretSettings):
    """Hold who we are to the registry, and whom we take for it; read from `WAYBILL_REGISTRY_…`."""

    model_config = SettingsConfigDict(
        env_prefix="WAYBILL_REGISTRY_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    user: str | None = Field(default=None, description="User that the registry knows us as (basic authentication).")
    password: SecretStr | None = Field(default=None, description="The user's password.")
    token: SecretStr | None = Field(default=None, description="Bearer token, in place of user and password.")
    ca_file: str | None = Field(
        default=None, description="CA certificates (PEM) that may vouch for the registry, in place of the system's."
    )
    certificate_file: str | None = Field(
        default=None, description="Our own certificate (PEM), for a registry that asks its clients for one."
    )
    key_file: str | None = Field(
        default=None, description="The key of our certificate (PEM, not encrypted); none: in the certificate's file."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_PASSWORD are set together or not at all")
        if self.token and self.user:
            raise ValueError("WAYBILL_REGISTRY_USER and WAYBILL_REGISTRY_TOKEN are both set; the registry takes one")
        if self.user and ":" in self.user:
            raise ValueError("WAYBILL_REGISTRY_USER has a colon, which basic authentication cannot carry")
        token = self.token.get_secret_value() if self.token else "none"
        if not (token.isascii() and token.isprintable() and " " not in token):
            raise ValueError("WAYBILL_REGISTRY_TOKEN is no bearer token: it has a space, a line's end or no ASCII")
        if self.key_file and not self.certificate_file:
            raise ValueError("WAYBILL_REGISTRY_KEY_FILE is set without WAYBILL_REGISTRY_CERTIFICATE_FILE")
        return self

    @classmethod
    def given(cls) -> Self:
        """Read the environment.

        Raises:
            RegistrationRefused: A setting is malformed; the message names it and no value.

        """
        try:
            return cls()
        except ValidationError as error:
            raise RegistrationRefused(error.errors()[0]["msg"].removeprefix("Value error, ")) from None

    def client(self, url: str) -> httpx2.Client:
        """Make a client that shows who we are on every call.

        Raises:
            RegistrationRefused: A file cannot be used, or TLS is set for a URL without it.

        """
        if (setting := self._tls_setting()) and not url.lower().startswith("https:"):
            raise RegistrationRefused(f"{setting} is set, and WAYBILL_REGISTRY_URL does not begin with https:")
        headers = dict(_CONTENT_TYPE)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.get_secret_value()}"
        auth = (self.user, self.password.get_secret_value()) if self.user and self.password else None
        verify = self._tls() if self._tls_setting() else True
        return httpx2.Client(timeout=_CALL_SECONDS, headers=headers, auth=auth, verify=verify)

    def secrets(self) -> list[str]:
        """Give what no line may show."""
        return [secret.get_secret_value() for secret in (self.password, self.token) if secret]

    def _tls_setting(self) -> str | None:
        if self.ca_file:
            return "WAYBILL_REGISTRY_CA_FILE"
        return "WAYBILL_REGISTRY_CERTIFICATE_FILE" if self.certificate_file else None

    def _tls(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except OSError as error:
            raise RegistrationRefused(f"WAYBILL_REGISTRY_CA_FILE: {self.ca_file}: {_why(error)}") from None
        if self.certificate_file:
            try:
                # A key that is encrypted would be asked about at the terminal, if no password were given.
                context.load_cert_chain(self.certificate_file, self.key_file, password="")  # nosec B106
            except OSError as error:
                files = " with ".join(filter(None, (self.certificate_file, self.key_file)))
                raise RegistrationRefused(f"WAYBILL_REGISTRY_CERTIFICATE_FILE: {files}: {_why(error)}") from None
        return context


class Registry:
    """The Confluent API of a registry, over one kept-alive connection."""

    def __init__(self, client: httpx2.Client, url: str, access: Access) -> None:
        """Take a client that shows who we are.

        Raises:
            RegistrationRefused: The URL is none of a registry.

        """
        self._client = client
        self._url = url.rstrip("/")
        self._access = access
        try:
            shown = httpx2.URL(self._url).copy_with(userinfo=b"")
        except httpx2.InvalidURL:
            shown = httpx2.URL("")
        if shown.scheme not in {"http", "https"} or not shown.host:
            # The URL itself is not shown: it may hold a password.
            raise RegistrationRefused("WAYBILL_REGISTRY_URL is none of a registry; write http://host:port/path")
        self.name = f"the registry at {shown}"

    def schema(self, schema_id: int) -> str | None:
        """Give the text that an id stands for, or None where the registry has no such id; raises as `call` does."""
        found = self.call("GET", f"/schemas/ids/{schema_id}", missing_is_none=True)
        return None if found is None else str(found["schema"])

    def is_apicurio(self) -> bool:
        """Say whether it is an Apicurio registry, by its own API beside the Confluent one; raises as `call` does."""
        own = self._own_api()
        return own is not None and "Apicurio" in str(self._answer("GET", f"{own}/system/info").text)

    def import_archive(self, archive: bytes) -> None:
        """Give an empty Apicurio registry an export with its ids; blocks up to 20 s, raises as `call` does.

        It answers well also where it left something out.
        """
        headers = {
            "Content-Type": "application/zip",
            "X-Registry-Preserve-GlobalId": "true",
            "X-Registry-Preserve-ContentId": "true",
        }
        path = "/admin/import"
        answer = self._answer("POST", f"{self._own_api()}{path}", content=archive, headers=headers)
        self._accept(answer, "POST", path)

    def _own_api(self) -> str | None:
        base, is_apicurio, _ = self._url.partition(_APICURIO_CONFLUENT_API)
        return f"{base}/apis/registry/v3" if is_apicurio else None

    def call(
        self, method: str, path: str, body: Mapping[str, object] | None = None, *, missing_is_none: bool = False
    ) -> Any:
        """Give the JSON of an answer; blocks up to 20 s.

        Raises:
            NotYet: It is away, or failing for a reason of its own.
            RegistrationRefused: It says no, or is no registry; the message is one line.

        """
        answer = self._answer(method, self._url + path, json=body)
        if missing_is_none and answer.status_code == _NOT_FOUND:
            return None
        self._accept(answer, method, path)
        try:
            return answer.json()
        except ValueError:
            raise RegistrationRefused(
                f"{self.name} gave no JSON to {method} {path}; is it the Confluent API?"
            ) from None

    def _answer(self, method: str, url: str, **sent: Any) -> httpx2.Response:
        try:
            return self._client.request(method, url, **sent)
        except httpx2.TransportError as error:
            if refusal := _tls_refusal(error):
                raise RegistrationRefused(f"{self.name}: {refusal}") from None
            raise NotYet(str(error) or type(error).__name__) from None
        except httpx2.RequestError as error:
            raise RegistrationRefused(f"{self.name}: {error}") from None

    def _accept(self, answer: httpx2.Response, method: str, path: str) -> None:
        if answer.is_server_error:
            raise NotYet(f"{method} {path} answered {answer.status_code}")
        if answer.status_code in {httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN}:
            raise RegistrationRefused(f"{self.name} answered {answer.status_code} to {method} {path}: {self._no()}")
        if answer.is_error:
            reason = self._shown(answer.text)
            raise RegistrationRefused(f"{self.name} answered {answer.status_code} to {method} {path}: {reason}")

    def _no(self) -> str:
        """Say which setting is not taken; the answer's own text might repeat what we sent."""
        if self._access.token:
            return "it does not take WAYBILL_REGISTRY_TOKEN"
        if self._access.user:
            return f"it does not take WAYBILL_REGISTRY_PASSWORD of {self._access.user!r}, or the user may not do that"
        return f"it wants to know who asks; set {_WHO_ASKS}"

    def _shown(self, text: str) -> str:
        for secret in self._access.secrets():
            text = text.replace(secret, "…")
        return " ".join(text.split())[:_SHOWN_CHARACTERS]


def _tls_refusal(error: BaseException) -> str | None:
    """Find in an error's causes what makes TLS impossible, however often it is tried."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None or isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        return None  # somebody hung up: it is away
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"{cause.verify_message}; WAYBILL_REGISTRY_CA_FILE names the CAs that may vouch for it"
    if "WRONG_VERSION_NUMBER" in str(cause) or "RECORD_LAYER" in str(cause):
        return "it speaks no TLS; WAYBILL_REGISTRY_URL begins with https:"
    return f"{_why(cause)}; it may ask for a certificate: WAYBILL_REGISTRY_CERTIFICATE_FILE"


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}"
    return error.strerror or str(error)
