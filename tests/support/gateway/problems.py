"""What the gateway answers itself."""

import httpx2 as httpx


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    """The answer's problem details, whole, as a service would have answered."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    said = answer.json()
    assert said["type"] == f"/v1/problems/{code}"
    assert (said["status"], said["code"]) == (status, code)
    assert said["request_id"] == answer.headers["x-request-id"]
    assert said["detail"]
    assert answer.headers["cache-control"] == "no-store"
    return said
