"""People who use the shop through the gateway the whole time, and what they were promised."""

import random
import re
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

import httpx2

from tests.strangler.where import PASSWORD

TOKEN = re.compile(r'name="csrfmiddlewaretoken" value="(\w+)"')
ORDER = re.compile(r"/orders/(\d+)/$")
ADDRESS = {
    "name": "Ann Able",
    "email": "ann@example.com",
    "street": "1 Mill Lane",
    "postcode": "04109",
    "city": "Leipzig",
}
PAUSE_SECONDS = 0.1
ORDER_EVERY = 20  # a customer with more than 200 orders passes the bound of a filter across services


@dataclass
class Visitors:
    """One buyer who reviews, orders and cancels, and one who looks on; in threads of their own."""

    url: str
    products: list[int]
    asked: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    """The last text that was acknowledged, by product."""
    orders: set[int] = field(default_factory=set)
    longest_seconds: float = 0.0
    _stopped: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Log in and begin."""
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._buy, self._look)]
        for one in self._threads:
            one.start()

    def stop(self) -> None:
        """End after the request under way."""
        self._stopped.set()
        for one in self._threads:
            one.join(30)

    def _buy(self) -> None:
        chance = random.Random(1)
        with httpx2.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            self._log_in(client)
            number = 0
            while not self._stopped.is_set():
                number += 1
                product = chance.choice(self.products)
                if number % ORDER_EVERY:
                    self._review(client, product, f"text {number}")
                else:
                    self._order(client, product)
                time.sleep(PAUSE_SECONDS)

    def _look(self) -> None:
        chance = random.Random(2)
        with httpx2.Client(base_url=self.url, timeout=30, trust_env=False) as client:
            while not self._stopped.is_set():
                product = chance.choice(self.products)
                self._ask(client, "GET", chance.choice(["/", f"/products/{product}/", f"/products/{product}/reviews/"]))
                time.sleep(PAUSE_SECONDS)

    def _log_in(self, client: httpx2.Client) -> None:
        form = client.get("/account/login/").text
        data = {"username": "ann", "password": PASSWORD, "csrfmiddlewaretoken": TOKEN.search(form)[1]}  # pyright: ignore[reportOptionalSubscript]
        assert client.post("/account/login/", data=data).status_code == 302

    def _review(self, client: httpx2.Client, product: int, text: str) -> None:
        path = f"/products/{product}/review/"
        if self._post(client, path, {"stars": "4", "text": text}) is not None:
            self.texts[product] = text

    def _order(self, client: httpx2.Client, product: int) -> None:
        self._post(client, f"/cart/{product}/add/", {"quantity": "1"})
        answer = self._post(client, "/orders/checkout/", ADDRESS)
        found = ORDER.search(answer.headers.get("Location", "")) if answer is not None else None
        if found:
            self.orders.add(int(found[1]))

    def _post(self, client: httpx2.Client, path: str, data: dict[str, str]) -> httpx2.Response | None:
        """Answer where it was taken; a page with an error of the form is no failure, and None."""
        token = client.cookies.get("csrftoken")
        answer = self._ask(client, "POST", path, data=data | {"csrfmiddlewaretoken": token or ""})
        return answer if answer is not None and answer.status_code == 302 else None

    def _ask(self, client: httpx2.Client, method: str, path: str, **more: object) -> httpx2.Response | None:
        began = time.monotonic()
        self.asked[method] += 1
        try:
            answer = client.request(method, path, **more)  # pyright: ignore[reportArgumentType]
        except httpx2.HTTPError as error:
            self.failed.append(f"{time.strftime('%X')} {method} {path}: {error!r}")
            return None
        self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
        if answer.status_code >= 400:
            self.failed.append(f"{time.strftime('%X')} {method} {path}: {answer.status_code} {answer.text[:200]}")
        return answer
