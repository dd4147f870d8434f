"""The issuer's public keys, by which tokens are checked: a JWKS from a file, or fetched from a URL.

No request waits for keys. A file is read again when it has changed. A URL is fetched by one thread in the background,
every `WAYBILL_JWKS_REFRESH_SECONDS` and, at most every few seconds, when a token names a key that is not known. What
follows:

- A key that the issuer removed is refused within that interval and the time of one fetch, and every token that was
  found good by it with it.
- While the issuer is away, or answers no JWKS, the known keys go on for `WAYBILL_JWKS_MAX_AGE`; a token by any other
  key gets 503, since nobody can say whether it is good.
- Tokens by made-up keys cost a look into a dictionary each, and the issuer one fetch in a few seconds.
"""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol, cast

import httpx2 as httpx
import jwt
import structlog

from waybill.runtime.http_client import HttpClient
from waybill.runtime.settings import Settings

log: structlog.stdlib.BoundLogger = structlog.get_logger()
ALGORITHMS: Final = frozenset({"EdDSA", "RS256"})
FETCH_SECONDS: Final = 5.0  # for the whole of a fetch
PAUSE_SECONDS: Final = 5.0  # between two fetches, whoever asks for one
LOOK_SECONDS: Final = 1.0  # between two looks at the file
DEVELOPMENT: Final = "development"  # a member that a development issuer's keys carry


class KeyUnknown(Exception):
    """The issuer has no such key."""


class KeysAway(Exception):
    """Nobody can tell whether there is such a key: the issuer does not say."""


@dataclass(frozen=True, slots=True, eq=False)
class Keys:
    """The keys of one JWKS; a new object where they change, so that what was found good by them is asked again."""

    by_id: Mapping[str | None, jwt.PyJWK]

    def find(self, key_id: str | None) -> jwt.PyJWK:
        """Return the key, or the only one where the token names none; raises KeyUnknown."""
        if key_id is None and len(self.by_id) == 1:
            return next(iter(self.by_id.values()))
        try:
            return self.by_id[key_id]
        except KeyError:
            raise KeyUnknown from None

    def ids(self) -> list[str]:
        """Return the keys' ids, for the log."""
        return sorted(map(str, self.by_id))

    def same_as(self, other: "Keys") -> bool:
        """Tell whether both have the same keys."""
        return self.data() == other.data()

    def data(self) -> dict[str | None, Any]:
        """Return them as the issuer gave them."""
        return {one: key._jwk_data for one, key in self.by_id.items()}  # noqa: SLF001 # pyright: ignore[reportPrivateUsage] - as the issuer gave it


class KeySource(Protocol):
    """Where keys come from."""

    def current(self) -> Keys:
        """Return the keys as they are known; raises KeysAway where they are too old."""
        ...

    def missed(self) -> None:
        """Have a key that is not known looked for; raises KeysAway where nobody can tell whether there is one."""
        ...

    def unready(self) -> str | None:
        """Return why no token at all can be checked yet."""
        ...


class KeyFile:
    """Keys of a file, read again when it has changed; one that cannot be read changes nothing."""

    def __init__(self, path: Path, *, development: bool) -> None:
        """Read it. Raises OSError, ValueError."""
        self._path, self._development = path, development
        self._lock = threading.Lock()
        self._stamp, self._looked = self._stamped(), time.monotonic()
        self._keys = parse(json.loads(path.read_bytes()), development=development)

    def current(self) -> Keys:
        """Return the keys, as the file had them a second ago at most."""
        if time.monotonic() - self._looked > LOOK_SECONDS and self._lock.acquire(blocking=False):
            try:
                self._looked = time.monotonic()
                self._look()
            finally:
                self._lock.release()
        return self._keys

    def missed(self) -> None:
        """Do nothing: the file is all there is."""

    def unready(self) -> str | None:
        """Return None: it was read at the start."""
        return None

    def _look(self) -> None:
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            keys = parse(json.loads(self._path.read_bytes()), development=self._development)
        except (OSError, ValueError) as error:
            log.error("keys not read", path=str(self._path), reason=str(error), remedy="the keys of before stay")  # noqa: TRY400 - a file is wrong, not the program
            return
        self._keys = keys
        log.info("keys read", path=str(self._path), key_ids=keys.ids())

    def _stamped(self) -> tuple[int, int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino


class KeyUrl:
    """Keys of a URL, fetched by a thread of its own."""

    def __init__(self, url: str, *, refresh_seconds: float, max_age_seconds: float, development: bool) -> None:
        self._url, self._refresh, self._max_age, self._development = url, refresh_seconds, max_age_seconds, development
        self._http = HttpClient(FETCH_SECONDS)
        self._wanted, self._stopped = threading.Event(), False
        self._keys = Keys({})
        self._fetched_at: float | None = None
        self._failing = True

    def start(self) -> None:
        """Fetch from now on, until the process ends."""
        threading.Thread(target=self._run, name="keys", daemon=True).start()

    def stop(self) -> None:
        """Fetch no more."""
        self._stopped = True
        self._wanted.set()

    def current(self) -> Keys:
        """Return the keys of the last fetch; raises KeysAway where it is too long ago."""
        if self._fetched_at is None or time.monotonic() - self._fetched_at > self._max_age:
            raise KeysAway
        return self._keys

    def missed(self) -> None:
        """Have the keys fetched soon; raises KeysAway where the last fetch failed."""
        self._wanted.set()
        if self._failing:
            raise KeysAway

    def unready(self) -> str | None:
        """Return why no token can be checked yet."""
        return "the issuer's keys were not fetched yet" if self._fetched_at is None else None

    def fetch(self) -> None:
        """Fetch once; keep what was there where that fails."""
        try:
            answer = self._http.get(self._url).raise_for_status()
            keys = parse(answer.json(), development=self._development)
        except (httpx.HTTPError, ValueError) as error:
            log.warning("keys not fetched", reason=repr(error))
            self._failing = True
            return
        if not keys.same_as(self._keys):
            log.info("keys fetched", key_ids=keys.ids())
            self._keys = keys
        self._fetched_at, self._failing = time.monotonic(), False

    def _run(self) -> None:
        while not self._stopped:
            self.fetch()
            time.sleep(min(PAUSE_SECONDS, self._refresh))
            if not self._failing:
                self._wanted.wait(max(0.0, self._refresh - PAUSE_SECONDS))
            self._wanted.clear()


def parse(document: Any, *, development: bool) -> Keys:
    """Return the keys of a JWKS that tokens can be checked with; others are passed over.

    Raises ValueError where it is none, has no such key, or is a development issuer's and that is not allowed.
    """
    listed = cast("dict[str, Any]", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("this is no JWKS: an object with a list `keys`")  # noqa: TRY004 - what was read is malformed
    entries = [cast("dict[str, Any]", one) for one in cast("list[Any]", listed) if isinstance(one, dict)]
    if not development and any(one.get(DEVELOPMENT) for one in entries):
        raise ValueError(
            "these keys are a development issuer's, whose private key is no secret; give your own issuer's, or set "
            "WAYBILL_ENVIRONMENT=development where nothing can be lost"
        )
    keys: dict[str | None, jwt.PyJWK] = {}
    for one in entries:
        try:
            key = jwt.PyJWK.from_dict(one)
        except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
            continue  # of a kind that is not used here
        if key.algorithm_name in ALGORITHMS and key.public_key_use in {None, "sig"}:
            keys[key.key_id] = key
    if not keys:
        raise ValueError(f"the JWKS has no key for {' or '.join(sorted(ALGORITHMS))}")
    return Keys(keys)


def source(settings: Settings) -> KeySource:
    """Return where the settings say that keys come from, the same for all who ask.

    Raises SystemExit with one line where there are none, or the file cannot be read.
    """
    return _source(
        settings.jwks_file,
        settings.jwks_url,
        settings.jwks_refresh_seconds,
        settings.jwks_max_age.total_seconds(),
        settings.in_development,
    )


@cache
def _source(file: str | None, url: str | None, refresh: float, max_age: float, development: bool) -> KeySource:
    if url:
        fetched = KeyUrl(url, refresh_seconds=refresh, max_age_seconds=max_age, development=development)
        fetched.start()
        return fetched
    if not file:
        raise SystemExit("no keys to check tokens with: set WAYBILL_JWKS_FILE or WAYBILL_JWKS_URL")
    try:
        return KeyFile(Path(file), development=development)
    except (OSError, ValueError) as error:
        raise SystemExit(f"WAYBILL_JWKS_FILE: {file}: {error}") from None
