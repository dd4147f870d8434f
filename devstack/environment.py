"""Make .venv: uv from PyPI inside it, then the versions of uv.lock. Run by `make` with the system's own Python.

Imports nothing outside the standard library and reads on any Python 3, so that one too old gets a sentence, not a
syntax error.
"""

import os
import subprocess
import sys

FLOOR = (3, 11)
UV = "0.13.8"
CHECKOUT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(CHECKOUT, ".venv")
LOG = os.path.join(VENV, "setup.log")
STAMP = os.path.join(VENV, ".synced")


def fail(line):
    """End with one line on stderr."""
    sys.stderr.write("waybill: " + line + "\n")
    sys.exit(1)


def run(command, meaning, show=False):
    """Run a command; where it fails say what that means, and where its own words are."""
    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONHOME", "PYTHONPATH")}
    environment.update(UV_PROJECT_ENVIRONMENT=VENV, UV_PYTHON_DOWNLOADS="never", UV_COMPILE_BYTECODE="1")
    with open(LOG, "ab") as log:
        output = None if show else log
        try:
            code = subprocess.call(command, cwd=CHECKOUT, env=environment, stdout=log, stderr=output)
        except OSError as error:
            code, meaning = 1, meaning + " (" + str(error) + ")"
        except KeyboardInterrupt:
            sys.exit(130)
    if code:
        fail(meaning + "; its own words: " + os.path.relpath(LOG, CHECKOUT))


def main():
    """Bring .venv up to date; do nothing where the stamp is newer than the lock."""
    if sys.version_info < FLOOR:
        have, want = (".".join(map(str, version[:2])) for version in (sys.version_info, FLOOR))
        fail(f"Python {want} or newer is needed, python3 is {have}; install one, or make PYTHON=/path/to/it")
    try:
        import fcntl

        os.makedirs(VENV, exist_ok=True)
        lock = open(os.path.join(VENV, ".setup.lock"), "w")
        fcntl.flock(lock, fcntl.LOCK_EX)  # two makes at once; uv takes .lock itself
    except OSError as error:
        fail("cannot write " + VENV + ": " + str(error.strerror))
    source = os.path.join(CHECKOUT, "uv.lock")
    if os.path.exists(STAMP) and os.path.getmtime(STAMP) >= os.path.getmtime(source):
        return
    open(LOG, "w").close()
    python, uv = os.path.join(VENV, "bin", "python"), os.path.join(VENV, "bin", "uv")
    if not is_uv(uv):
        sys.stderr.write("making .venv\n")
        hint = "cannot make .venv; on Debian and Ubuntu: apt install python3-venv"
        run([sys.executable, "-m", "venv", VENV], hint)
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2"]
        run(pip + ["uv==" + UV], "cannot install uv " + UV + " from PyPI (is the network up?)")
    sys.stderr.write("installing what uv.lock names\n")
    # uv itself is not in the lock: --inexact lets it stay.
    sync = [uv, "sync", "--frozen", "--inexact", "--python", python]
    run(sync, "cannot install what uv.lock names (is the network up?)", show=sys.stderr.isatty())
    # Two dozen programs start at once; each would compile the same modules.
    run([python, "-m", "compileall", "-q", "-x", r"[/\\]\.", CHECKOUT], "cannot compile the checkout")
    open(STAMP, "w").close()


def is_uv(path):
    """Tell whether the pinned uv is there."""
    try:
        found = subprocess.check_output([path, "--version"], stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        return False
    return found.split()[1:2] == [UV]


if __name__ == "__main__":
    main()
