"""AsyncAPI's own parser takes every document of docs/asyncapi/, Avro payloads included, and refuses a wrong one."""

import subprocess
from pathlib import Path

import pytest
import yaml

from devstack.folder import CHECKOUT
from tests.support import toolchains

HERE = Path(__file__).parent / "asyncapi"
DOCUMENTS = sorted((CHECKOUT / "docs" / "asyncapi").iterdir())
# What stands in a document, what is put in its place, and where the parser looks askance.
BREAKS = [
    ("action: send", "action: publish", "action"),
    ("#/components/messages/OrderReserved.v1'", "#/components/messages/OrderLost.v1'", "does not exist"),
    ("partitions: 6", "partitions: six", "partitions"),
    ("type: record", "type: rekord", "payload"),
]
INSTALL = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]


@pytest.fixture(scope="module")
def parser() -> Path:
    """The official parser, installed from its lock file once."""
    for program, least in (("node", (20,)), ("npm", (9,))):
        toolchains.need(program, ["--version"], least, "AsyncAPI's parser")
    return toolchains.made(HERE, INSTALL)


def check(parser: Path, *files: Path) -> tuple[int, list[str]]:
    command = ["node", str(parser / "check.mjs"), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.slow
def test_the_official_parser_takes_every_document(parser: Path):
    code, lines = check(parser, *DOCUMENTS)
    assert code == 0, "\n".join(lines)
    read = {line.split(":")[0]: int(line.split()[-2]) for line in lines}
    assert read == {str(path): len(yaml.safe_load(path.read_text())["components"]["messages"]) for path in DOCUMENTS}


@pytest.mark.slow
def test_a_wrong_document_is_refused(parser: Path, tmp_path: Path):
    text = (CHECKOUT / "docs" / "asyncapi" / "payment.yaml").read_text()
    files: dict[Path, str] = {}
    for number, (right, wrong, says) in enumerate(BREAKS):
        assert right in text
        files[tmp_path / f"{number}.yaml"] = says
        (tmp_path / f"{number}.yaml").write_text(text.replace(right, wrong, 1))
    code, lines = check(parser, *files)
    assert code == 1
    for file, says in files.items():
        assert any(line.startswith(str(file)) and says in line for line in lines), (file, says, lines)


def test_nothing_of_the_parser_is_in_the_repository():
    names = {path.name for path in HERE.iterdir()}
    assert names == {"check.mjs", "package.json", "package-lock.json"}
    assert "http" not in (HERE / "package-lock.json").read_text()
