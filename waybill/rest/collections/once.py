"""A POST with an Idempotency-Key acts once: its answer is kept in the transaction of what it did, and given again.

Unlike `waybill.rest.idempotency` it holds no lock while it works, and so runs on every database of Django's: of two at
once, the key's primary key lets one commit, and the other is rolled back and answered with 409.
"""

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from django.db import IntegrityError, connections, transaction
from django.http import HttpRequest, HttpResponse

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem

LONGEST_KEY: Final = 255
FIND = """
SELECT fingerprint, status, headers, body FROM waybill_idempotency_key WHERE caller = %s AND path = %s AND key = %s
"""
KEEP = """
INSERT INTO waybill_idempotency_key (caller, path, key, fingerprint, status, headers, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)
"""


def once(request: HttpRequest, alias: str, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Run a request that creates something in a transaction; with a key, at most once. Raises a 409 or 422."""
    key = request.headers.get("Idempotency-Key")
    with transaction.atomic(using=alias):
        if key is None:
            return act()
        if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            detail = f"an Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters"
            raise Problem(400, Code.IDEMPOTENCY_KEY_MISSING, detail)
        caller = getattr(getattr(request, "auth", None), "subject", "")
        fingerprint = hashlib.sha256(request.body).hexdigest()
        with connections[alias].cursor() as cursor:
            cursor.execute(FIND, [caller, request.path, key])
            if kept := cursor.fetchone():
                return _again(kept, fingerprint)
            answer = act()
            headers = json.dumps(dict(answer.headers))
            values = [caller, request.path, key, fingerprint, answer.status_code, headers, answer.content.decode()]
            try:
                cursor.execute(KEEP, values)
            except IntegrityError:
                detail = "the first request with this Idempotency-Key was still running"
                retry = {"Retry-After": "1"}
                raise Problem(409, Code.IDEMPOTENCY_KEY_IN_USE, detail, headers=retry) from None
        return answer


def _again(kept: tuple[str, int, Any, str], fingerprint: str) -> HttpResponse:
    first, status, headers, body = kept
    if first != fingerprint:
        detail = "this Idempotency-Key was used with another body; take a new key"
        raise Problem(422, Code.IDEMPOTENCY_KEY_REUSED, detail)
    named = json.loads(headers) if isinstance(headers, str) else headers  # text on SQLite, jsonb on PostgreSQL
    return HttpResponse(body, status=status, headers={**named, "Idempotent-Replayed": "true"})
