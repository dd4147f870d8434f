"""What the shadow program is told by its environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from waybill.runtime.settings import HTTP_URL, TelemetryEnvironment
from waybill.shadow.json_paths import Pattern, parse
from waybill.shadow.routes import Routes


def _check_origin(url: str) -> str:
    if not HTTP_URL.fullmatch(url) or url.rstrip("/").count("/") > len(("http:", "")):
        raise ValueError(f"{url!r} is no origin of http or https, as in http://127.0.0.1:8000")
    return url.rstrip("/")


Origin = Annotated[str, AfterValidator(_check_origin)]


class ShadowSettings(TelemetryEnvironment):
    """Hold whom the shadow program asks, and how much of that it compares and keeps."""

    shadow_control: Origin = Field(description="Origin of who answers the clients, as in http://127.0.0.1:8000.")
    shadow_candidate: Origin = Field(description="Origin of who would answer them; clients see nothing of it.")
    shadow_second_control: Origin | None = Field(
        default=None,
        description="Origin that is asked again what the control was asked: what differs between these two is noise. "
        "None: the control itself.",
    )
    shadow_routes: str = Field(
        description="Path templates of what is compared, comma-separated, `{…}` for any one segment, as in "
        "`/v1/rooms,/v1/rooms/{id}`. Only GET and HEAD of these ever reach the candidate.",
    )
    shadow_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Share of these requests that is compared, chosen by their `X-Request-ID`: the same id is always "
        "or never compared.",
    )
    shadow_headers: str = Field(
        default="content-type,location", description="Headers of answers that are compared, comma-separated."
    )
    shadow_ignore: str = Field(
        default="",
        description="JSON paths of what is not compared, comma-separated, with all that is below: `$.made_at`, "
        "`$.items[*].etag`, `$..links`, `$.meta.*`.",
    )
    personal: str | None = Field(
        default=None,
        description="Fields whose values samples show masked, comma-separated. None: every text is masked.",
    )
    shadow_file: Path = Field(
        description="File that the findings are kept in, replaced every second; a restart goes on counting, and "
        "removing it while the program is stopped begins anew."
    )
    shadow_samples: int = Field(default=20, ge=0, le=1000, description="Newest mismatches kept of each route.")
    # The bound of memory: (queue + concurrency) captured answers, and two more for each that is being compared.
    shadow_concurrency: int = Field(default=4, ge=1, description="Comparisons at once.")
    shadow_queue: int = Field(
        default=64, ge=0, description="Comparisons that may wait; any more are dropped, and counted."
    )
    shadow_body_bytes: int = Field(
        default=262_144, ge=1, description="Largest body that is compared; a larger one is passed on all the same."
    )
    shadow_seconds: float = Field(
        default=5.0,
        gt=0,
        description="Longest that the candidate or the second control may take for an answer, body included; and the "
        "longest answer of the control that is compared.",
    )
    shadow_control_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Longest pause of the control before and within its answer; then the client is answered 504.",
    )
    host: str = Field(default="127.0.0.1", description="Address that the program answers HTTP on.")
    port: int = Field(default=8000, ge=1, le=65535, description="Port that the program answers HTTP on.")
    health_port: int = Field(default=9000, ge=1, le=65535, description="Port of /livez, /readyz and /metrics.")
    log_level: str = Field(default="info", description="debug, info, warning or error.")

    @property
    def second_control(self) -> str:
        """Return the origin that shows what is noise."""
        return self.shadow_second_control or self.shadow_control

    @property
    def routes(self) -> Routes:
        """Return what is compared."""
        return Routes(_names(self.shadow_routes))

    @property
    def headers(self) -> frozenset[bytes]:
        """Return the names of the headers that are compared, in lower case."""
        return frozenset(name.lower().encode() for name in _names(self.shadow_headers))

    @property
    def ignored(self) -> tuple[Pattern, ...]:
        """Return what is not compared."""
        return tuple(map(parse, _names(self.shadow_ignore)))

    @property
    def personal_fields(self) -> frozenset[str] | None:
        """Return the names of fields that are masked; None where nobody told."""
        return None if self.personal is None else frozenset(_names(self.personal))

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        if not self.routes.templates:
            raise ValueError("WAYBILL_SHADOW_ROUTES: name at least one path template, as in /v1/rooms/{id}")
        self.ignored  # noqa: B018 - a path that cannot be read ends the program at its start
        if self.shadow_candidate in {self.shadow_control, self.second_control}:
            raise ValueError("WAYBILL_SHADOW_CANDIDATE: it is a control too: nothing would ever differ")
        return self


def _names(given: str) -> list[str]:
    return [name for name in (one.strip() for one in given.split(",")) if name]
