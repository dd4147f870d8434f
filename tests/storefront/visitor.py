"""A visitor of the running shop: HTTP with cookies, and the CSRF token of its forms."""

import httpx2


class Visitor:
    """One browser session without a browser."""

    def __init__(self, client: httpx2.Client) -> None:
        self.client = client

    def send(self, path: str, *, request_id: str = "of a visitor", **fields: str | int) -> httpx2.Response:
        """Send the form of a page, and return the page that is shown then."""
        if "csrftoken" not in self.client.cookies:
            self.client.get("/account/login/").raise_for_status()
        told = {name: str(value) for name, value in fields.items()}
        told["csrfmiddlewaretoken"] = self.client.cookies["csrftoken"]
        answer = self.client.post(path, data=told, headers={"X-Request-ID": request_id})
        return answer.raise_for_status()

    def sign_up(self, username: str, name: str) -> None:
        """Make a customer's account, and log in."""
        password = "brook and meadow"
        passwords = {"password1": password, "password2": password}
        page = self.send(
            "/account/sign-up/", username=username, name=name, email=f"{username}@example.com", **passwords
        )
        assert "Welcome!" in page.text

    def buy(self, product: int) -> None:
        """Order one piece."""
        self.send(f"/cart/{product}/add/", quantity=1)
        where = {"street": "1 Mill Lane", "postcode": "04109", "city": "Leipzig"}
        page = self.send("/orders/checkout/", name="Walter Wood", email="walter@example.com", **where)
        assert "Thank you!" in page.text
