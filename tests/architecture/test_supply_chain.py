"""What is built on is named by its content, and kept up to date; workflows do what they say, and run."""

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from catalogue import workflows
from devstack.folder import CHECKOUT

PINNED = re.compile(r"[\w./-]+:[\w.-]+@sha256:[0-9a-f]{64}")
COMPOSED = yaml.safe_load((CHECKOUT / "docker-compose.kafka.yml").read_text())["services"]
UPDATES = yaml.safe_load((CHECKOUT / ".github" / "dependabot.yml").read_text())["updates"]
# The file that tells a folder's packages → who updates it.
LOCKS = {"uv.lock": "uv", "go.mod": "gomod", "package.json": "npm", "requirements.txt": "pip"}
ACT, ZIZMOR = (CHECKOUT / ".venv" / "bin" / name for name in ("act", "zizmor"))
SETUP_PYTHON = CHECKOUT / "tests" / "support" / "actions" / "setup-python"
ACT_SECONDS = 120


def tracked() -> list[Path]:
    """The checkout's files, of what is committed and what is about to be."""
    listed = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a checkout of git: it is not known which files belong to it")
    done = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    return [path for name in done.stdout.split("\0") if name and (path := CHECKOUT / name).is_file()]


def test_images_of_others_are_named_by_their_digest_and_one_image_by_one():
    dockerfile = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    stages = set(re.findall(r" AS ([\w-]+)$", dockerfile, re.MULTILINE))
    bases = [base for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE) if base not in stages]
    used = [*bases, *(one["image"] for one in COMPOSED.values() if not one["image"].startswith("waybill/"))]
    assert len(used) >= 5
    assert [image for image in used if PINNED.fullmatch(image) is None] == []
    assert len({image.partition("@")[0] for image in used}) == len(set(used))


def test_every_lock_file_is_kept_up_to_date():
    kept = {
        (one["package-ecosystem"], folder)
        for one in UPDATES
        for folder in one.get("directories") or [one.get("directory")]
    }
    folders = {
        (LOCKS[path.name], f"/{path.parent.relative_to(CHECKOUT)}".removesuffix("/."))
        for path in tracked()
        if path.name in LOCKS
    }
    locked = {(kind, folder or "/") for kind, folder in folders}
    assert locked | {("github-actions", "/"), ("docker", "/deploy"), ("docker-compose", "/")} == kept


def test_the_services_workflows_use_the_commits_of_the_one_that_is_written_by_hand(monkeypatch, tmp_path):
    updated = tmp_path / "contracts.yml"
    updated.write_text(re.sub(r"@[0-9a-f]{40} # \S+", f"@{'a' * 40} # v99", workflows.BY_HAND.read_text()))
    monkeypatch.setattr(workflows, "BY_HAND", updated)
    for path, text in workflows.workflows().items():
        assert set(re.findall(r"uses: \S+@(.+)$", text, re.MULTILINE)) == {f"{'a' * 40} # v99"}, path


def test_zizmor_finds_nothing_unsafe_in_workflows_and_updates():
    if not ZIZMOR.exists():
        pytest.skip("zizmor is not installed: `make lint` brings it")
    done = subprocess.run(
        [ZIZMOR, "--offline", "--strict-collection", ".github"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout as a runner has it, with this one's environment: making one takes longer than the job."""
    folder = tmp_path / "checkout"
    for path in tracked():
        target = folder / path.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)
    environment = folder / ".venv"
    environment.mkdir()
    for part in (CHECKOUT / ".venv").iterdir():
        (environment / part.name).symlink_to(part)
    (environment / ".synced").unlink(missing_ok=True)
    synced = tmp_path / "synced"
    synced.touch()
    os.utime(synced, (time.time() + 3600, time.time() + 3600))  # newer than the copies that act makes
    (environment / ".synced").symlink_to(synced)
    ignored = folder / ".gitignore"
    ignored.write_text(ignored.read_text().replace(".venv/\n", ""))  # act copies what git has
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "x"]):
        git(folder, *command)
    return folder


def git(folder: Path, *command: str) -> None:
    who = ("-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


def act(folder: Path, workflow: str) -> subprocess.CompletedProcess[str]:
    """Run a workflow as for a pull request, on this machine in place of a runner's, and without a network.

    `actions/checkout` is act's own copying of the folder, `setup-python` a stand-in; every `run` is the workflow's.
    """
    (name,) = re.findall(r"uses: (actions/setup-python@\w+)", (folder / ".github/workflows" / workflow).read_text())
    options = (
        *("pull_request", "--workflows", f".github/workflows/{workflow}", "--platform", "ubuntu-24.04=-self-hosted"),
        *("--no-cache-server", "--container-daemon-socket", "-", "--local-repository", f"{name}={SETUP_PYTHON}"),
    )
    home = folder.parent / "home"
    path = f"{CHECKOUT / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    told = {**os.environ, "PATH": path, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    return subprocess.run(
        [ACT, *options], cwd=folder, env=told, capture_output=True, text=True, check=False, timeout=ACT_SECONDS
    )


@pytest.mark.slow
def test_the_contracts_workflow_runs_and_refuses_a_change_that_would_break_a_subscriber(copy: Path):
    if not ACT.exists():
        pytest.skip("act is not installed: `make lint` brings it")
    done = act(copy, "contracts.yml")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    assert "every version can be read by every other, and none was changed" in done.stdout
    schema = copy / "schemas" / "order.events.v1" / "OrderPlaced.v1.avsc"
    schema.write_text(schema.read_text().replace('"currency"', '"money"'))
    git(copy, "commit", "--all", "--quiet", "--message", "break it")
    done = act(copy, "contracts.yml")
    assert done.returncode == 1, done.stdout[-3000:]
    assert "OrderPlaced.v1" in done.stdout
    assert "Job failed" in done.stdout
