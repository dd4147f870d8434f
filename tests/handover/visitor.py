"""A visitor of the shop behind the gateway, who notes each request that fails."""

import time
from html.parser import HTMLParser

import httpx2

from tests.handover.ledger import Ledger
from tests.handover.stage import Stage

SECONDS = 40  # of a request: longer than any hold
PASSWORD = "brook and meadow"


class Fields(HTMLParser):
    """What a page's form would send."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self._area, self._select = "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        name = given.get("name") or ""
        if tag == "input" and name and given.get("type") not in {"submit", "checkbox", "button"}:
            self.fields.setdefault(name, given.get("value") or "")
        elif tag == "textarea" and name:
            self._area, self.fields[name] = name, ""
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self.fields[self._select] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.fields[self._area] = self.fields[self._area].removeprefix("\n")
            self._area = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        if self._area:
            self.fields[self._area] += data


class Browser:
    """A visitor behind the gateway; notes each request that fails."""

    def __init__(self, stage: Stage, ledger: Ledger) -> None:
        limits = httpx2.Limits(max_connections=1)
        self.client = httpx2.Client(
            base_url=stage.url, timeout=SECONDS, trust_env=False, follow_redirects=True, limits=limits
        )
        self.ledger = ledger

    def sign_up(self, name: str) -> None:
        """Make a customer's account, and log in."""
        passwords = {"password1": PASSWORD, "password2": PASSWORD}
        page = self.post("/account/sign-up/", username=name, name=name, email=f"{name}@example.com", **passwords)
        assert page is not None, f"{name} cannot sign up"

    def log_in(self, name: str) -> None:
        """Log in to the admin."""
        page = self.post("/admin/login/?next=/admin/", username=name, password=PASSWORD)
        assert page is not None, f"{name} cannot log in"

    def get(self, path: str) -> httpx2.Response | None:
        """Return the page; None where it failed."""
        return self._asked("GET", path, {})

    def post(self, path: str, **fields: str) -> httpx2.Response | None:
        """Send a form, and return the page that is shown then; None where it failed."""
        if "csrftoken" not in self.client.cookies and self.get("/account/login/") is None:
            return None
        return self._asked("POST", path, fields | {"csrfmiddlewaretoken": self.client.cookies.get("csrftoken", "")})

    def _asked(self, method: str, path: str, fields: dict[str, str]) -> httpx2.Response | None:
        began = time.monotonic()
        try:
            answer = self.client.request(method, path, data=fields or None)
        except httpx2.HTTPError as error:
            self.ledger.fail(began, f"{method} {path}: {type(error).__name__}: {error}")
            return None
        self.ledger.answered(began)
        if answer.status_code >= 400:
            self.ledger.fail(began, f"{method} {path}: {answer.status_code} {answer.text[:200]}")
            return None
        return answer
