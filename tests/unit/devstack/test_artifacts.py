"""What is fetched is what was pinned, or nothing of it is kept."""

import gc
import hashlib
import http.server
import io
import tarfile
import threading
from pathlib import Path

import pytest

from devstack.cache import artifacts
from devstack.errors import DevstackError

# jgo leaves its answers open until they are collected, here rather than in somebody else's test.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
JAR = b"a jar, more or less" * 1000


def archive() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        entry = tarfile.TarInfo("app/run.jar")
        entry.size = len(JAR)
        tar.addfile(entry, io.BytesIO(JAR))
    return stream.getvalue()


class Repository(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]

    def do_GET(self):
        body = self.server.files.get(self.path.rsplit("/", 1)[-1])  # type: ignore[attr-defined]
        self.send_response(200 if body else 404)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        pass


@pytest.fixture
def repository(tmp_path, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Repository)
    server.files = {"thing-1.jar": JAR, "app-2-all.tar.gz": archive()}  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WAYBILL_MAVEN_URL", f"http://127.0.0.1:{server.server_port}/maven2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield server
    server.shutdown()
    server.server_close()
    gc.collect()


@pytest.fixture
def lock(tmp_path, repository) -> Path:
    kinds = {"kafka": ("thing", "1", "", "jar"), "registry": ("app", "2", "all", "tar.gz")}
    lines: list[str] = []
    for part, (name, version, classifier, packaging) in kinds.items():
        file = f"{name}-{version}{classifier and '-'}{classifier}.{packaging}"
        body = repository.files[file]
        lines += [f"[[{part}]]", 'group = "org.example"', f'name = "{name}"', f'version = "{version}"']
        lines += [f'classifier = "{classifier}"', f'packaging = "{packaging}"', f"size_bytes = {len(body)}"]
        lines += [f'sha256 = "{hashlib.sha256(body).hexdigest()}"']
    path = tmp_path / "lock.toml"
    path.write_text("\n".join(lines))
    return path


def test_files_are_fetched_once_and_archives_unpacked(lock, repository):
    homes = artifacts.fetch(("kafka", "registry"), lock=lock)
    assert (homes["kafka"] / "thing-1.jar").read_bytes() == JAR
    assert (homes["registry"] / "app" / "run.jar").read_bytes() == JAR
    repository.files.clear()
    assert artifacts.fetch(("kafka", "registry"), lock=lock) == homes


def test_a_file_other_than_the_one_pinned_is_thrown_away(lock, repository):
    repository.files["thing-1.jar"] = JAR[:-1] + b"!"
    with pytest.raises(DevstackError, match=r"thing-1\.jar has SHA-256 .* not"):
        artifacts.fetch(("kafka",), lock=lock)
    assert {path.name for path in artifacts.cache().iterdir()} == {".lock"}


def test_a_file_cut_short_in_the_cache_is_fetched_again(lock):
    home = artifacts.fetch(("kafka",), lock=lock)["kafka"]
    (home / "thing-1.jar").write_bytes(JAR[:100])
    assert artifacts.fetch(("kafka",), lock=lock)["kafka"] == home
    assert (home / "thing-1.jar").read_bytes() == JAR


def test_a_missing_file_is_named(lock, repository):
    repository.files.clear()
    with pytest.raises(DevstackError, match=r"cannot fetch thing-1\.jar: the repository does not have it"):
        artifacts.fetch(("kafka",), lock=lock)


def test_a_missing_network_is_one_line(lock, repository, monkeypatch):
    monkeypatch.setattr(artifacts, "ATTEMPTS", 1)
    repository.shutdown()
    repository.server_close()
    with pytest.raises(DevstackError, match=r"cannot fetch thing-1\.jar: no connection; check the network"):
        artifacts.fetch(("kafka",), lock=lock)


def test_the_lock_pins_every_file():
    downloads = artifacts.read_lock(("kafka", "registry"))
    assert [each.artifacts[0].version for each in downloads] == [artifacts.KAFKA.split(":")[2], artifacts.REGISTRY[2]]
    clients = [each.version for each in downloads[0].artifacts if each.name == "kafka-clients"]
    assert clients == [downloads[0].artifacts[0].version]
    assert all(len(artifact.sha256) == 64 for each in downloads for artifact in each.artifacts)
