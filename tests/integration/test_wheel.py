"""The wheel is enough: what any project installs has no checkout behind it, and no more than the outbox needs."""

import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from devstack.harness.stack import CHECKOUT
from tests.support import environments
from tests.support.environments import Environment

pytestmark = pytest.mark.slow

# Of a depth that a project did not ask for.
NOT_FOR_THE_OUTBOX = {
    "avro",
    "circuitbreaker",
    "confluent-kafka",
    "django-ninja",
    "httpx2",
    "prometheus-client",
    "pyjwt",
    "rich",
    "stripe",
}
DRIVER = "psycopg[binary]>=3.2"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    return environments.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module", params=["newest", "oldest"])
def outbox_alone(request, wheel, tmp_path_factory) -> Environment:
    """What `pip install waybill` gives, in the newest versions of all there is, and in the oldest that are allowed."""
    folder = tmp_path_factory.mktemp("environments") / request.param
    if request.param == "newest":
        return environments.make(folder, str(wheel), DRIVER, python=environments.newest_python())
    return environments.make(folder, str(wheel), DRIVER, *environments.required(wheel), oldest=True)


def test_the_wheel_holds_the_library_and_nothing_of_the_shop(wheel, capsys):
    with ZipFile(wheel) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
        assert {name for name in folders if not name.endswith(".dist-info")} == {"waybill", "outbox_relay"}
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    size = wheel.stat().st_size
    with capsys.disabled():
        sys.stdout.write(f"\n{wheel.name}: {size:,} bytes\n")
    assert size < MEGABYTE


def test_the_outbox_alone_installs_nothing_of_the_other_depths(outbox_alone):
    packages = outbox_alone.packages()
    assert "waybill" in packages
    assert set(packages) & NOT_FOR_THE_OUTBOX == set()


def test_no_module_of_the_wheel_comes_from_the_checkout(outbox_alone, tmp_path):
    found = outbox_alone.run("-c", "import waybill, outbox_relay, sys; print(waybill.__file__, sys.path)", cwd=tmp_path)
    assert str(outbox_alone.folder) in found
    assert str(CHECKOUT) not in found
