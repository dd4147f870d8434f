"""An operator in Debian's Chromium: what is clicked, filled in and seen, counted; every page checked by axe-core."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, sync_playwright

ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
WAIT_MS = 20_000
SCHEMES = ("light", "dark")
WIDTHS = {"wide": 1280, "narrow": 390}


class Browser:
    """One operator's window on the console at a URL."""

    def __init__(self, page: Page, url: str, screenshots: Path) -> None:
        self.page, self.url, self.screenshots = page, url, screenshots
        self.actions = 0  # clicks, and fields filled in
        self.wrong: list[str] = []
        self.violations: dict[tuple[str, str], str] = {}  # by screen and rule
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: self.wrong.append(f"{page.url}: {error.message}"))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        if message.type == "error" and "Content Security Policy" in message.text:
            self.wrong.append(f"{self.page.url}: {message.text}")

    def open(self, path: str) -> None:
        """Go to an address, as from a bookmark or a colleague's message."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        assert answer.ok, f"{path}: {answer.status} {self.page.locator('main').inner_text()[:500]}"

    def sign_in(self, address: str) -> None:
        """Log in by an address of the development issuer."""
        self.page.goto(address)
        self.page.get_by_role("heading", level=1).wait_for()

    def click(self, role: Any, name: str, *, within: str = "main") -> None:
        self.actions += 1
        self.page.locator(within).get_by_role(role, name=re.compile(name)).first.click()

    def finding(self, problem: str) -> Locator:
        """The overview's rows of a problem."""
        return self.page.locator("main tr.finding", has=self.page.locator(f'th:text-is("{problem}")'))

    def follow(self, problem: str) -> None:
        """Click the number of a finding on the overview, which leads to what it counts."""
        self.actions += 1
        self.finding(problem).first.get_by_role("link").click()
        self.page.wait_for_load_state()

    def open_details(self, summary: str) -> None:
        self.actions += 1
        self.page.locator("main summary", has_text=summary).first.click()

    def select(self, name: str, value: str) -> None:
        self.actions += 1
        self.page.locator(f"main form[method=post] [name={name}]").first.select_option(value)

    def check(self, name: str) -> None:
        self.actions += 1
        self.page.locator(f"main [name={name}]").first.check()

    def fill(self, name: str, value: str) -> None:
        self.actions += 1
        self.page.locator(f"main form[method=post] [name={name}]").first.fill(value)

    def shows(self, text: str) -> bool:
        """Tell whether the page says this now."""
        return re.search(text, self.page.locator("main").inner_text()) is not None

    def keep(self, screen: str) -> None:
        """Photograph the screen in both colour schemes and widths, and check each by axe-core."""
        for scheme in SCHEMES:
            self.page.emulate_media(color_scheme=scheme)
            for name, width in WIDTHS.items():
                self.page.set_viewport_size({"width": width, "height": 800})
                self._check(f"{screen}, {scheme}, {name}")
                overflow = self.page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
                if overflow > 0:
                    self.wrong.append(f"{screen} is {overflow} px wider than a window of {width}")
                if (scheme, name) in {("light", "wide"), ("dark", "narrow")}:
                    path = self.screenshots / f"{screen}-{scheme}.png"
                    self.page.screenshot(path=path, full_page=False)
        self.page.emulate_media(color_scheme="light")
        self.page.set_viewport_size({"width": WIDTHS["wide"], "height": 800})

    def _check(self, where: str) -> None:
        for violation in Axe().run(self.page).response["violations"]:
            nodes = [node["html"][:200] for node in violation["nodes"][:3]]
            self.violations[where, violation["id"]] = f"{violation['help']}: {nodes}"


@contextmanager
def window(executable: str, url: str, screenshots: Path) -> Iterator[Browser]:
    """Open a browser; closed at the end of the block."""
    screenshots.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=[*ARGUMENTS])
        try:
            context = chromium.new_context(
                viewport={"width": WIDTHS["wide"], "height": 800},
                timezone_id="Asia/Tokyo",
                reduced_motion="reduce",  # else a colour scheme that has just changed is checked in the middle of it
            )
            yield Browser(context.new_page(), url, screenshots)
        finally:
            chromium.close()
