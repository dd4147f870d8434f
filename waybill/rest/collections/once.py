"""A POST with an Idempotency-Key acts once: its answer is kept in the transaction of what it did, and given again.

The key's row is taken before anything is done, and filled with the answer after. So of two at once the second waits for
the first, and then has its answer, or does the work itself where the first failed or was killed: its row went with its
transaction. Unlike `waybill.rest.idempotency` it takes no lock that only PostgreSQL has.
"""

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connections, transaction
from django.http import HttpRequest, HttpResponse

from waybill.deciders.outcomes import Code
from waybill.rest.idempotency import KEPT_HOURS, LONGEST_KEY
from waybill.rest.problem import Problem

# Relies on the primary key: where another transaction has the row and has not ended, this waits for its end.
TAKE: Final = """
INSERT INTO waybill_idempotency_key AS kept (caller, path, key, fingerprint, status, headers, body, created_at)
VALUES (%s, %s, %s, %s, 0, '{}', '', %s)
ON CONFLICT (caller, path, key) DO UPDATE SET fingerprint = excluded.fingerprint, created_at = excluded.created_at
WHERE kept.created_at <= %s
"""
FIND: Final = """
SELECT fingerprint, status, headers, body FROM waybill_idempotency_key WHERE caller = %s AND path = %s AND key = %s
"""
FILL: Final = """
UPDATE waybill_idempotency_key SET status = %s, headers = %s, body = %s WHERE caller = %s AND path = %s AND key = %s
"""


def once(request: HttpRequest, alias: str, act: Callable[[], HttpResponse]) -> HttpResponse:
    """Run a request that creates something in a transaction; with a key, at most once in a day. Raises a 400 or 422."""
    key = request.headers.get("Idempotency-Key")
    with transaction.atomic(using=alias):
        if key is None:
            return act()
        if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            detail = f"an Idempotency-Key has 1 to {LONGEST_KEY} printable ASCII characters"
            raise Problem(400, Code.IDEMPOTENCY_KEY_MISSING, detail)
        row = [getattr(getattr(request, "auth", None), "subject", ""), request.path, key]
        fingerprint = hashlib.sha256(request.body).hexdigest()
        now = datetime.now(UTC)
        with connections[alias].cursor() as cursor:
            cursor.execute(TAKE, [*row, fingerprint, now.isoformat(), (now - timedelta(hours=KEPT_HOURS)).isoformat()])
            if cursor.rowcount != 1:
                cursor.execute(FIND, row)
                return _again(cursor.fetchone(), fingerprint)
            answer = act()
            headers = json.dumps(dict(answer.headers))
            cursor.execute(FILL, [answer.status_code, headers, answer.content.decode(), *row])
        return answer


def _again(kept: tuple[str, int, Any, str], fingerprint: str) -> HttpResponse:
    first, status, headers, body = kept
    if first != fingerprint:
        detail = "this Idempotency-Key was used with another body; take a new key"
        raise Problem(422, Code.IDEMPOTENCY_KEY_REUSED, detail)
    named = json.loads(headers) if isinstance(headers, str) else headers  # text on SQLite, jsonb on PostgreSQL
    return HttpResponse(body, status=status, headers={**named, "Idempotent-Replayed": "true"})
