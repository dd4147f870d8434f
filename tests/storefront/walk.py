"""One buyer's and one clerk's whole way through the running shop, in a real browser (browser/walk.mjs)."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.storefront import services
from tests.storefront.shop import Shop
from tests.support import toolchains

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


def walks(shops: tuple[Shop, Shop], folder: Path, browser: str, *, go: bool) -> dict[str, Walk]:
    """Go both ways through the shop in one database, and on services."""
    without, beside = shops
    with (
        services.running(beside, services.NAMES, "walk", go=go) as variables,
        beside.serving("walk", "services", variables) as url,
    ):
        on_services = walk(url, browser, folder / "services")
    with without.serving("walk", "monolith", {}) as url:
        return {"monolith": walk(url, browser, folder / "monolith"), "services": on_services}


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
