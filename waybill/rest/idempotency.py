"""The Idempotency-Key of a request: the first answer is kept, and given again.

The key's row commits in the transaction of what the request does, so either both are there or neither. A request that
fails keeps nothing, and its key can be used again. Status codes follow the IETF httpapi draft.
"""

import hashlib
import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec

from django.db import DEFAULT_DB_ALIAS, connection, connections, transaction
from django.http import HttpRequest, HttpResponse

from waybill.database.sealing import seal, unseal
from waybill.deciders.outcomes import Code
from waybill.deciders.unit_of_work import retried
from waybill.rest.auth import caller_of
from waybill.rest.openapi.operations import facts_of
from waybill.rest.problem import Problem

P = ParamSpec("P")
KEPT_HOURS = 24
LONGEST_KEY = 255

# The lock lasts as long as the transaction: while another request holds it, the first is still running. Where that one
# commits between this statement's snapshot and the lock, its row is not seen, and the insert at the end fails.
TAKE = """
SELECT pg_try_advisory_xact_lock(hashtextextended(%(caller)s || ' ' || %(path)s || ' ' || %(key)s, 0)),
       (SELECT jsonb_build_object('fingerprint', fingerprint, 'status', status, 'headers', headers, 'body', body)::text
        FROM waybill_idempotency_key
        WHERE caller = %(caller)s AND path = %(path)s AND key = %(key)s
          AND created_at > clock_timestamp() - make_interval(hours => %(hours)s))
"""

# By the index on the time: it does not serve clock_timestamp(), which may differ from row to row.
FORGET = """
DELETE FROM waybill_idempotency_key WHERE (caller, path, key) IN (
    SELECT caller, path, key FROM waybill_idempotency_key
    WHERE created_at <= statement_timestamp() - make_interval(hours => %s) ORDER BY created_at LIMIT %s)
"""

KEEP = """
INSERT INTO waybill_idempotency_key AS kept (caller, path, key, fingerprint, status, headers, body)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (caller, path, key) DO UPDATE
    SET fingerprint = excluded.fingerprint, status = excluded.status, headers = excluded.headers, body = excluded.body,
        created_at = excluded.created_at
    WHERE kept.created_at <= clock_timestamp() - make_interval(hours => %s)
"""


def idempotent(
    view: Callable[Concatenate[HttpRequest, P], HttpResponse],
) -> Callable[Concatenate[HttpRequest, P], HttpResponse]:
    """Run the view in a transaction with the request's Idempotency-Key; 400, 409 or 422 where the key forbids it."""

    @wraps(view)
    def guarded(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        key = request.headers.get("Idempotency-Key", "")
        if not (0 < len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
            detail = f"send an Idempotency-Key header of 1 to {LONGEST_KEY} printable ASCII characters"
            raise Problem(400, Code.IDEMPOTENCY_KEY_MISSING, detail)
        return once(request, key, *args, **kwargs)

    @retried
    def once(request: HttpRequest, key: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        caller = caller_of(request).subject
        fingerprint = hashlib.sha256(request.body).hexdigest()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(TAKE, {"caller": caller, "path": request.path, "key": key, "hours": KEPT_HOURS})
            free, kept = cursor.fetchone()
            if kept is not None:
                return _again(json.loads(kept), fingerprint)
            if not free:
                raise _in_use()
            answer = view(request, *args, **kwargs)
            headers = json.dumps(dict(answer.headers))
            values = [
                caller,
                request.path,
                key,
                fingerprint,
                answer.status_code,
                headers,
                seal(answer.content.decode()),
            ]
            cursor.execute(KEEP, [*values, KEPT_HOURS])
            if cursor.rowcount != 1:
                raise _in_use()
        return answer

    facts_of(guarded).idempotent = True
    return guarded


def _again(kept: dict[str, Any], fingerprint: str) -> HttpResponse:
    if kept["fingerprint"] != fingerprint:
        raise Problem(
            422, Code.IDEMPOTENCY_KEY_REUSED, "this Idempotency-Key was used with another body; take a new key"
        )
    headers = {**kept["headers"], "Idempotent-Replayed": "true"}
    return HttpResponse(unseal(kept["body"]), status=kept["status"], headers=headers)


def _in_use() -> Problem:
    return Problem(
        409,
        Code.IDEMPOTENCY_KEY_IN_USE,
        "the first request with this Idempotency-Key is still running",
        headers={"Retry-After": "1"},
    )


def forget(at_most: int, using: str = DEFAULT_DB_ALIAS) -> int:
    """Remove answers older than they are kept; returns how many."""
    with connections[using].cursor() as cursor:
        cursor.execute(FORGET, [KEPT_HOURS, at_most])
        return cursor.rowcount
