"""Kafka, the registry and Zipkin from Maven Central, by jgo: pinned, checked, and kept outside the checkout.

`artifacts.toml` is the lock: every file with its SHA-256, so that nothing is resolved when a stack starts.
`python -m devstack lock` rewrites it after a version below was changed. What was fetched is unpacked into a scratch
folder and renamed into the cache whole; a file that was cut short there since then is noticed by its size.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tarfile
import tempfile
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from jgo.maven import MavenContext, PythonResolver
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from devstack import screen
from devstack.errors import DevstackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

KAFKA = "org.apache.kafka:kafka_2.13:4.1.2"
# Kafka's distribution has this binding, its dependency list has not; without it the broker logs nothing.
KAFKA_LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3"
REGISTRY = ("io.apicurio", "apicurio-registry-app", "3.3.3", "all", "tar.gz")
ZIPKIN = ("io.zipkin", "zipkin-server", "3.5.1", "exec", "jar")
LOCK = Path(__file__).with_name("artifacts.toml")
TITLES = {"kafka": "Apache Kafka", "registry": "Apicurio Registry", "zipkin": "Zipkin"}
CONTENTS = ".contents.json"
ATTEMPTS = 3
# Most of the files are small: what takes time is asking.
FETCHES_AT_ONCE = 12


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of the lock."""

    group: str
    name: str
    version: str
    classifier: str = ""
    packaging: str = "jar"
    sha256: str
    size_bytes: int

    @property
    def file(self) -> str:
        """Return the file's name."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.name}-{self.version}{classifier}.{self.packaging}"


@dataclass(frozen=True, kw_only=True)
class Download:
    """What one part needs, and the folder of the cache that holds it."""

    part: str
    artifacts: tuple[Artifact, ...]
    home: Path

    @property
    def title(self) -> str:
        """Name it for the user."""
        return f"{TITLES.get(self.part, self.part.capitalize())} {self.artifacts[0].version}"

    @property
    def size_bytes(self) -> int:
        """Return how much there is to fetch."""
        return sum(artifact.size_bytes for artifact in self.artifacts)


def cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the folder outside the checkout that keeps what was fetched."""
    return Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser().resolve() / "waybill"


def read_lock(parts: Iterable[str], lock: Path = LOCK) -> list[Download]:
    """Return the downloads of the named parts."""
    content = tomllib.loads(lock.read_text())
    downloads: list[Download] = []
    for part in parts:
        if part in content:
            artifacts = tuple(Artifact(**entry) for entry in content[part])
            digest = hashlib.sha256("".join(artifact.sha256 for artifact in artifacts).encode()).hexdigest()[:8]
            home = cache() / f"{part}-{artifacts[0].version}-{digest}"
            downloads.append(Download(part=part, artifacts=artifacts, home=home))
    return downloads


def fetch(parts: Iterable[str], *, lock: Path = LOCK) -> dict[str, Path]:
    """Return the folder of each part's files, fetched first where they are missing. May block for minutes.

    Raises:
        DevstackError: no network, a file that is not the one expected, or a cache that cannot be written.

    """
    downloads = read_lock(parts, lock)
    missing = [download for download in downloads if not is_whole(download.home)]
    if missing:
        trust_the_users_certificates()
        try:
            with cache_locked():
                for download in missing:
                    if not is_whole(download.home):
                        fetch_one(download)
        except OSError as error:
            raise DevstackError(
                f"cannot write the cache {cache()}: {error.strerror or error}; set XDG_CACHE_HOME"
            ) from error
    return {download.part: download.home for download in downloads}


def is_whole(home: Path) -> bool:
    """Tell whether every file that was unpacked is still there in full length."""
    try:
        contents: dict[str, int] = json.loads((home / CONTENTS).read_text())
        return all((home / name).stat().st_size == size for name, size in contents.items())
    except (OSError, ValueError):
        return False


@contextmanager
def cache_locked() -> Iterator[None]:
    """Let one process fetch at a time, and clear away what a killed one left."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            screen.say("another command is at work on the cache; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        for scratch in cache().glob(".fetch-*"):
            shutil.rmtree(scratch, ignore_errors=True)
        yield


def trust_the_users_certificates(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let SSL_CERT_FILE, which Python itself goes by, count for jgo's client too (a proxy of one's own behind TLS)."""
    if bundle := environment.get("SSL_CERT_FILE"):
        environment.setdefault("REQUESTS_CA_BUNDLE", bundle)


def fetch_one(download: Download) -> None:
    """Fetch, check, unpack, and move into place in one step."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".fetch-") as scratch:
        files = fetch_files(download, Path(scratch) / "repository")
        target = Path(scratch) / "target"
        target.mkdir()
        for file in files:
            if file.name.endswith(".tar.gz"):
                unpack(file, target)
            else:
                file.rename(target / file.name)
        contents = {str(path.relative_to(target)): path.stat().st_size for path in target.rglob("*") if path.is_file()}
        (target / CONTENTS).write_text(json.dumps(contents))
        shutil.rmtree(download.home, ignore_errors=True)
        target.rename(download.home)
    screen.say(f"{download.title}: {download.size_bytes / 1e6:.0f} MB in {time.monotonic() - started:.1f} s")


def unpack(archive: Path, target: Path) -> None:
    """Unpack a checked archive."""
    with tarfile.open(archive) as opened:
        # Python before 3.11.4 has no such filter, and needs none here: the archive's checksum is known.
        opened.extraction_filter = getattr(tarfile, "data_filter", None)
        opened.extractall(target)  # noqa: S202  # nosec B202


def fetch_files(download: Download, repository: Path) -> list[Path]:
    """Fetch every file of a download, a few at a time, with progress shown."""
    logging.getLogger("jgo").setLevel(logging.ERROR)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    if not screen.progress.is_terminal:
        screen.say(f"{download.title}: fetching {download.size_bytes / 1e6:.0f} MB")
    with Progress(*columns, console=screen.progress, transient=True, disable=not screen.progress.is_terminal) as bars:
        bar = bars.add_task(download.title, total=download.size_bytes)

        stopping = threading.Event()

        def arrived(count: int) -> None:
            # Nobody waits for the rest of a large file after Ctrl-C.
            if stopping.is_set():
                raise InterruptedError
            bars.advance(bar, count)

        @contextmanager
        def report(_file: str, _size: int) -> Iterator[Callable[[int], None]]:
            yield arrived

        context = MavenContext(repo_cache=repository, resolver=PythonResolver(progress_callback=report), **mirror())
        with ThreadPoolExecutor(FETCHES_AT_ONCE) as pool:
            pending = [pool.submit(fetch_file, context, artifact) for artifact in download.artifacts]
            try:
                return [each.result() for each in pending]
            except BaseException:
                stopping.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def mirror(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return jgo's option for a mirror of Maven Central, which the checksums keep honest."""
    url = environment.get("WAYBILL_MAVEN_URL")
    return {"remote_repos": {"mirror": url.rstrip("/")}} if url else {}


def fetch_file(context: MavenContext, artifact: Artifact) -> Path:
    """Fetch one file and hold it against the lock.

    Raises:
        DevstackError: it cannot be had, or is another file than the one expected.

    """
    wanted = context.project(artifact.group, artifact.name).at_version(artifact.version)
    retrying = Retrying(
        retry=retry_if_exception_type(requests.RequestException),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_exponential(0.5),
        reraise=True,
    )

    def attempt() -> Path:
        file = wanted.artifact(artifact.classifier, artifact.packaging)
        if file.cached_path:
            file.cached_path.unlink(missing_ok=True)
        return file.resolve()

    remedy = "check the network (or set HTTPS_PROXY, or WAYBILL_MAVEN_URL to a mirror) and run this again"
    try:
        path: Path = retrying(attempt)
    except requests.RequestException as error:
        raise DevstackError(f"cannot fetch {artifact.file}: {reason(error)}; {remedy}") from error
    except RuntimeError as error:
        raise DevstackError(f"cannot fetch {artifact.file}: the repository does not have it; {remedy}") from error
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != artifact.sha256:
        raise DevstackError(
            f"{artifact.file} has SHA-256 {found[:16]}..., not {artifact.sha256[:16]}...: it was damaged or changed on "
            "its way and was thrown away; run this again, through another network if it stays"
        )
    return path


def reason(error: requests.RequestException) -> str:
    """Say in a few words what went wrong on the network."""
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not answer"
    if isinstance(error, requests.exceptions.SSLError):
        return "the server's certificate is not trusted"
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return "no connection"


def write_lock() -> None:
    """Resolve the versions named above, fetch every file, and write the lock. Needs the network."""
    with tempfile.TemporaryDirectory() as scratch:
        context = MavenContext(repo_cache=Path(scratch), **mirror())
        # Kafka alone: resolved together, the logging library's own list would lower the version of kafka-clients.
        kafka = [*resolved(context, KAFKA), context.create_dependency(KAFKA_LOGGING).artifact]
        single = {
            part: [context.project(group, name).at_version(version).artifact(classifier, packaging)]
            for part, (group, name, version, classifier, packaging) in {"registry": REGISTRY, "zipkin": ZIPKIN}.items()
        }
        about = "The files of Kafka, the registry and Zipkin. Made by `python -m devstack lock`: do not edit."
        LOCK.write_text(lock_text(about, {"kafka": kafka, **single}))


def resolved(context: MavenContext, coordinates: str) -> list[Any]:
    """Return the named artifact and all it depends on. Needs the network."""
    roots, others = context.resolver.resolve([context.create_dependency(coordinates)])
    return [dependency.artifact for dependency in (*roots, *others)]


def lock_text(about: str, parts: Mapping[str, Iterable[Any]]) -> str:
    """Fetch every artifact of each part and return the lock that names them."""
    lines = [f"# {about}"]
    for part, artifacts in parts.items():
        for artifact in artifacts:
            path: Path = artifact.resolve()
            fields = {
                "group": artifact.groupId,
                "name": artifact.artifactId,
                "version": artifact.version,
                "classifier": artifact.classifier,
                "packaging": artifact.packaging,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
            lines += ["", f"[[{part}]]", *(f'{name} = "{value}"' for name, value in fields.items())]
            lines.append(f"size_bytes = {path.stat().st_size}")
    return "\n".join(lines) + "\n"
