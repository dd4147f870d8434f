"""One buyer's and one clerk's whole way through the running shop, in a real browser (browser/walk.mjs)."""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.storefront import services
from tests.storefront.settings import storefront
from tests.storefront.shop import Shop, database
from tests.support import toolchains
from tests.support.environments import surroundings
from tests.support.providers.process import answering, free_port

BROWSER = Path(__file__).parent / "browser"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WALK_SECONDS = 120


@dataclass(frozen=True)
class Walk:
    """How many steps were taken, what was wrong on the way, and where the screenshots are."""

    steps: int
    wrong: list[str]
    screenshots: Path


def chromium() -> str | None:
    """The browser's path; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


def walks(folder: Path, browser: str) -> dict[str, Walk]:
    """Go both ways through the shop in one database, and on services."""
    with storefront(folder) as (without, beside):
        with services.running(beside, services.NAMES, "walk") as variables, _shop(beside, "services", variables) as url:
            on_services = walk(url, browser, folder / "screenshots" / "services")
        with _shop(without, "monolith", {}) as url:
            return {"monolith": walk(url, browser, folder / "screenshots" / "monolith"), "services": on_services}


def walk(url: str, browser: str, screenshots: Path) -> Walk:
    """Go through the shop at the URL."""
    screenshots.mkdir(parents=True)
    toolchains.need("npm", ["--version"], (0,), "the walk through the webshop")
    home = toolchains.made(BROWSER, ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    command = ["node", str(home / "walk.mjs"), url, browser, str(screenshots)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WALK_SECONDS, check=False)
    lines = done.stdout.splitlines()
    found = json.loads(lines[-1]) if lines else {"steps": 0, "wrong": [done.stderr]}
    return Walk(found["steps"], found["wrong"], screenshots)


@contextmanager
def _shop(shop: Shop, settings: str, variables: Mapping[str, str]) -> Iterator[str]:
    own = f"walk_{settings}"
    shop.server.execute(f"CREATE DATABASE {own}")
    told = {**variables, **database(shop.server, own), "DJANGO_SETTINGS_MODULE": f"shop.settings.{settings}"}
    for command in ("migrate", "demo"):
        shop.environment.run("manage.py", command, "--verbosity=0", cwd=shop.folder, **told)
    port, environment = free_port(), surroundings(**told, DEBUG="1")
    serve = shop.environment.command("manage.py", "runserver", "--noreload", str(port))
    with answering(serve, port, shop.folder.with_name(f"{own}.log"), environment, shop.folder) as url:
        yield url
