"""A released file never changes, and the list that says so needs nothing but `sha256sum`."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.schema_edits import NOTE
from tests.support.schema_samples import add, write_versions
from waybill.application import application
from waybill.contracts import released
from waybill.contracts.contracts import load
from waybill.contracts.fields import ContractError

V1 = "order.events.v1/OrderPlaced.v1.avsc"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a folder with one released version and one that is not."""
    write_versions(tmp_path)
    assert released.release(load(tmp_path), tmp_path) == [V1]
    return write_versions(tmp_path, add(NOTE))


def _said(root: Path) -> list[str]:
    return list(released.problems(load(root), root))


def test_all_versions_of_today_are_released_and_unchanged() -> None:
    assert _said(application().schemas) == []


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="sha256sum is not there")
def test_the_list_is_one_that_sha256sum_reads() -> None:
    done = subprocess.run(
        ["sha256sum", "--quiet", "--check", released.FILE], cwd=application().schemas, capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_version_that_is_not_released_is_named_until_it_is(root: Path) -> None:
    (line,) = _said(root)
    assert line.startswith("order.events.v1/OrderPlaced.v2.avsc is not released yet: `python -m waybill contracts")
    before = (root / released.FILE).read_text()
    assert released.release(load(root), root) == ["order.events.v1/OrderPlaced.v2.avsc"]
    assert (root / released.FILE).read_text().startswith(before)
    assert _said(root) == []


def test_a_released_file_that_was_changed_is_refused_with_the_remedy(root: Path) -> None:
    released.release(load(root), root)
    path = root / V1
    path.write_text(path.read_text().replace("A customer", "Somebody"))
    (line,) = _said(root)
    assert line.startswith(
        f"{V1} is released and was changed: bring it back (git restore), copy it to OrderPlaced.v3.avsc"
    )
    released.release(load(root), root)
    assert _said(root) == [line], "a line that is there is never written anew"


def test_other_line_breaks_are_no_change(root: Path) -> None:
    path = root / V1
    (root / released.FILE).unlink()
    path.write_bytes(path.read_bytes().replace(b"}, ", b"},\n"))
    released.release(load(root), root)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert _said(root) == []


def test_a_released_file_that_is_gone_is_named(root: Path) -> None:
    released.release(load(root), root)
    (root / "order.events.v1" / "OrderPlaced.v2.avsc").unlink()
    (line,) = _said(root)
    assert line.startswith("order.events.v1/OrderPlaced.v2.avsc is released and gone: bring it back")


@pytest.mark.parametrize("line", ["", "abc  a.avsc", f"{'0' * 64} {V1}", f"{'0' * 64}  {V1}"])
def test_a_list_that_cannot_be_read_is_named_by_its_line(root: Path, line: str) -> None:
    kept = root / released.FILE
    kept.write_text(f"{kept.read_text()}{line}\n")
    with pytest.raises(ContractError, match=r"released\.sha256:2: not a digest, two blanks and a file"):
        _said(root)
