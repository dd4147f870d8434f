"""The simulated payment provider: charges, voids and refunds under idempotency keys, in a ledger that outlives kill -9.

What a call does and what it answers are one SQLite transaction, committed before the answer leaves; the same key gets
the same answer. The payment method token picks what goes wrong:

    tok_ok                charged
    tok_declined          402 card_declined
    tok_slow              charged at once, answered after PROVIDER_SLOW_SECONDS
    tok_drip              charged at once, and the first answer comes a byte every 1.5 s, so that no read times out
    tok_timeout_then_ok   charged, and the first answer never comes: the connection is held, then closed
    tok_error_then_ok     500 and no charge the first time, charged the second
    anything else         402 unknown_payment_method

`POST /faults` with a path and a fault breaks a kind of call until it is repaired (`null`) or the provider restarts:

    error                 500 each time, and nothing is done
    refused               422 each time, as for a request that cannot be, and nothing is done
    stored_error          500, stored under the key and replayed; nothing is done
    late_error            the same, though the charge or refund is made
    lose                  done, and the connection is closed in place of the answer
    hang                  nothing is done, and the connection is held as for tok_timeout_then_ok
    wrong_amount          done for one minor unit more than was asked for
    wrong_currency        done in XTS, whatever was asked for

`POST /forget` makes it forget every key it has seen, as providers do after a day; the ledger stays.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any

from devstack.simulators.http_server import Answer, Request, serve

SCHEMA = """
CREATE TABLE IF NOT EXISTS ledger (
    position INTEGER PRIMARY KEY,
    kind     TEXT NOT NULL,             -- charge, void, refund
    id       TEXT NOT NULL UNIQUE,
    idempotency_key TEXT NOT NULL,      -- the one it was made under
    order_id TEXT NOT NULL,
    amount   INTEGER NOT NULL,          -- minor units
    currency TEXT NOT NULL,
    charge_id TEXT,                     -- of a refund: what it gives back
    at       REAL NOT NULL              -- seconds since 1970
);
CREATE INDEX IF NOT EXISTS ledger_order ON ledger (order_id);
CREATE INDEX IF NOT EXISTS ledger_key ON ledger (idempotency_key);
CREATE INDEX IF NOT EXISTS ledger_charge ON ledger (charge_id);
CREATE TABLE IF NOT EXISTS answered (path TEXT, key TEXT, body TEXT NOT NULL, status INTEGER NOT NULL,
    content TEXT NOT NULL, PRIMARY KEY (path, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS forgotten (position INTEGER NOT NULL);  -- no key up to here is known any more
CREATE TABLE IF NOT EXISTS failed_once (key TEXT PRIMARY KEY) WITHOUT ROWID;
"""
STATUSES = {"charge": "charged", "void": "voided", "refund": "refunded"}
FAULTS = ("error", "refused", "stored_error", "late_error", "lose", "hang", "wrong_amount", "wrong_currency")
ERROR = Answer(500, {"status": "error"})
DRIP_SECONDS = 1.5
LARGEST_AMOUNT = 10**12
FIELDS = {
    "/v1/charges": {"order_id": str, "amount": int, "currency": str, "payment_method": str},
    "/v1/voids": {"order_id": str},
    "/v1/refunds": {"order_id": str, "charge_id": str, "amount": int},
}
LISTS = {"/v1/charges": "charge", "/v1/voids": "void", "/v1/refunds": "refund"}
TYPE_NAMES = {str: "a text", int: "a whole number"}


@dataclass(frozen=True, kw_only=True)
class Delays:
    """How long answers are held back, in seconds."""

    slow_seconds: float = 2
    timeout_seconds: float = 30


class Provider:
    """Answer requests from one ledger."""

    def __init__(self, ledger: str, delays: Delays) -> None:
        self.delays = delays
        self.faults: dict[str, str] = {}
        self.db = sqlite3.connect(ledger, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # In WAL mode a commit is in the system's hands before it returns: a killed process loses nothing.
        self.db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        match request.method, request.path:
            case "GET", "/livez":
                return Answer(200, {"status": "ok"})
            case "GET", path if path in LISTS:
                return self.list_entries(LISTS[path], request.query.get("order_id"))
            case "GET", "/v1/ledger":
                rows = self.db.execute("SELECT * FROM ledger ORDER BY position")
                return Answer(200, {"items": [{**dict(row), "status": STATUSES[row["kind"]]} for row in rows]})
            case "POST", path if path in FIELDS:
                return self.act(request)
            case "POST", "/faults":
                return self.set_fault(request)
            case "POST", "/forget":
                return self.forget_keys()
            case _, path if path in {*FIELDS, "/livez", "/v1/ledger", "/faults", "/forget"}:
                return Answer(405, {"status": "method_not_allowed"})
            case _:
                return Answer(404, {"status": "not_found"})

    def act(self, request: Request) -> Answer:
        """Do what is asked under a key, once."""
        key = request.headers.get("idempotency-key", "")
        if not key or len(key) > 255:  # noqa: PLR2004
            return Answer(400, {"status": "bad_request", "detail": "Idempotency-Key is missing or too long"})
        try:
            body = read_body(request)
        except ValueError as error:
            return Answer(422, {"status": "bad_request", "detail": str(error)})
        fault = self.faults.get(request.path)
        if fault == "error":
            return ERROR
        if fault == "refused":
            return Answer(422, {"status": "bad_request", "detail": "refused, as it was told to"})
        if fault == "hang":
            return replace(ERROR, after_seconds=self.delays.timeout_seconds, hang_up=True)
        canonical = json.dumps(body, sort_keys=True)
        self.db.execute("BEGIN IMMEDIATE")
        try:
            answer = self.answer_once(request.path, key, body, canonical)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")
        return replace(answer, hang_up=True) if fault == "lose" else answer

    def answer_once(self, path: str, key: str, body: dict[str, Any], canonical: str) -> Answer:
        """Return the stored answer, or act and store one."""
        # A void is asked under the charge's key and told what became of the charge: there is nothing to store.
        if path == "/v1/voids":
            return self.void(key, body)
        known = self.db.execute("SELECT * FROM answered WHERE path = ? AND key = ?", (path, key)).fetchone()
        if known and known["body"] != canonical:
            return Answer(422, {"status": "key_reused", "detail": "this key was used with another body"})
        if known:
            replayed = {"idempotent-replayed": "true"}
            return Answer(known["status"], json.loads(known["content"]), replayed)
        fault = self.faults.get(path)
        if fault == "stored_error":
            answer = ERROR
        else:
            answer = self.charge(key, body) if path == "/v1/charges" else self.refund(key, body)
        answer = ERROR if fault == "late_error" else answer
        stored = answer.status < 500 or fault in {"stored_error", "late_error"}  # noqa: PLR2004
        if stored and answer.content["status"] != "voided":
            self.db.execute(
                "INSERT INTO answered VALUES (?, ?, ?, ?, ?)",
                (path, key, canonical, answer.status, json.dumps(answer.content)),
            )
        return answer

    def charge(self, key: str, body: dict[str, Any]) -> Answer:
        """Charge, unless the key was voided first or the token says otherwise."""
        if self.find("void", key):
            return Answer(409, {"status": "voided"})
        match body["payment_method"]:
            case "tok_ok":
                return self.charged(key, body)
            case "tok_slow":
                return replace(self.charged(key, body), after_seconds=self.delays.slow_seconds)
            case "tok_drip":
                return replace(self.charged(key, body), byte_seconds=DRIP_SECONDS)
            case "tok_timeout_then_ok":
                return replace(self.charged(key, body), after_seconds=self.delays.timeout_seconds, hang_up=True)
            case "tok_error_then_ok":
                fails = self.db.execute("INSERT OR IGNORE INTO failed_once VALUES (?)", (key,)).rowcount
                return Answer(500, {"status": "error"}) if fails else self.charged(key, body)
            case "tok_declined":
                return Answer(402, {"status": "declined", "code": "card_declined"})
            case _:
                return Answer(402, {"status": "declined", "code": "unknown_payment_method"})

    def charged(self, key: str, body: dict[str, Any]) -> Answer:
        """Write the charge and return the answer that tells of it."""
        match self.faults.get("/v1/charges"):
            case "wrong_amount":
                body = {**body, "amount": body["amount"] + 1}
            case "wrong_currency":
                body = {**body, "currency": "XTS"}
        identity = self.record("charge", "ch", key, body)
        fields = {name: body[name] for name in ("order_id", "amount", "currency")}
        return Answer(200, {"id": identity, "status": "charged", **fields})

    def void(self, key: str, body: dict[str, Any]) -> Answer:
        """Refuse where the key has charged; otherwise see to it that it never will."""
        if charge := self.find("charge", key):
            if charge["order_id"] != body["order_id"]:
                return Answer(422, {"status": "bad_request", "detail": "order_id: the key's charge is another order's"})
            return Answer(409, {"status": "charged", "charge": self.show(charge)})
        if not self.find("void", key):
            self.record("void", "vo", key, {**body, "amount": 0, "currency": ""})
        return Answer(200, {"status": "voided"})

    def refund(self, key: str, body: dict[str, Any]) -> Answer:
        """Give back what the charge still holds, never more."""
        rows = self.db.execute("SELECT * FROM ledger WHERE kind = 'charge' AND id = ?", (body["charge_id"],))
        charge = rows.fetchone()
        if not charge or charge["order_id"] != body["order_id"]:
            return Answer(404, {"status": "unknown_charge"})
        if self.refunded(charge["id"]) + body["amount"] > charge["amount"]:
            return Answer(409, {"status": "exceeds_charge", "charge": self.show(charge)})
        identity = self.record("refund", "re", key, {**body, "currency": charge["currency"]}, charge["id"])
        content = {name: body[name] for name in ("order_id", "charge_id", "amount")}
        return Answer(200, {"id": identity, "status": "refunded", **content, "currency": charge["currency"]})

    def list_entries(self, kind: str, order_id: str | None) -> Answer:
        """List charges, voids or refunds, of one order or all."""
        query = "SELECT * FROM ledger WHERE kind = ?1 AND (?2 IS NULL OR order_id = ?2) ORDER BY position"
        if order_id is not None:  # the same, but so that the index is used
            query = "SELECT * FROM ledger WHERE kind = ?1 AND order_id = ?2 ORDER BY position"
        rows = self.db.execute(query, (kind, order_id)).fetchall()
        if kind == "charge":
            return Answer(200, {"items": [self.show(row) for row in rows]})
        names = ("id", "order_id", "charge_id", "amount", "currency")
        return Answer(200, {"items": [{name: row[name] for name in names} for row in rows]})

    def set_fault(self, request: Request) -> Answer:
        """Break a kind of call, or repair it."""
        try:
            asked = json.loads(request.body)
            path, fault = asked["path"], asked["fault"]
        except (ValueError, KeyError, TypeError):
            path, fault = None, None
        if path not in FIELDS or fault not in {*FAULTS, None}:
            detail = f'expected {{"path": one of {[*FIELDS]}, "fault": one of {[*FAULTS]} or null}}'
            return Answer(422, {"status": "bad_request", "detail": detail})
        self.faults.pop(path, None)
        if fault:
            self.faults[path] = fault
        return Answer(200, {"faults": self.faults})

    def forget_keys(self) -> Answer:
        """Know no key any more that was used until now."""
        self.db.executescript(
            "BEGIN; DELETE FROM answered; DELETE FROM forgotten;"
            " INSERT INTO forgotten SELECT coalesce(max(position), 0) FROM ledger; COMMIT;"
        )
        return Answer(200, {"status": "ok"})

    def show(self, charge: sqlite3.Row) -> dict[str, Any]:
        """Return a charge as clients see it."""
        refunded = self.refunded(charge["id"])
        fields = {name: charge[name] for name in ("id", "order_id", "amount", "currency")}
        return {**fields, "refunded": refunded, "status": "refunded" if refunded == charge["amount"] else "charged"}

    def refunded(self, charge: str) -> int:
        """Return how much of a charge was given back."""
        query = "SELECT coalesce(sum(amount), 0) FROM ledger WHERE charge_id = ?"
        total: int = self.db.execute(query, (charge,)).fetchone()[0]
        return total

    def find(self, kind: str, key: str) -> sqlite3.Row | None:
        """Return what the key made, of one kind."""
        query = (
            "SELECT * FROM ledger WHERE idempotency_key = ? AND kind = ?"
            " AND position > (SELECT coalesce(max(position), 0) FROM forgotten)"
        )
        row: sqlite3.Row | None = self.db.execute(query, (key, kind)).fetchone()
        return row

    def record(self, kind: str, prefix: str, key: str, body: dict[str, Any], charge: str | None = None) -> str:
        """Write an entry and return its id."""
        identity = f"{prefix}_{uuid.uuid4().hex}"
        self.db.execute(
            "INSERT INTO ledger (kind, id, idempotency_key, order_id, amount, currency, charge_id, at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, identity, key, body["order_id"], body["amount"], body["currency"], charge, time.time()),
        )
        return identity


def read_body(request: Request) -> dict[str, Any]:
    """Return the body's fields.

    Raises:
        ValueError: it is no JSON object with the fields that the path asks for.

    """
    try:
        body = json.loads(request.body)
    except ValueError:
        raise ValueError("the body is no JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body is no object")  # noqa: TRY004 - it is the caller's value that is wrong
    fields = FIELDS[request.path]
    for name, kind in fields.items():
        if type(body.get(name)) is not kind or body[name] == "":
            raise ValueError(f"{name}: expected {TYPE_NAMES[kind]}")
    if "amount" in fields and not 0 < body["amount"] <= LARGEST_AMOUNT:
        raise ValueError(f"amount: expected 1 to {LARGEST_AMOUNT}")
    return {name: body[name] for name in fields}


def main() -> None:
    """Serve where the environment says."""
    delays = Delays(
        slow_seconds=float(os.environ.get("PROVIDER_SLOW_SECONDS", "2")),
        timeout_seconds=float(os.environ.get("PROVIDER_TIMEOUT_SECONDS", "30")),
    )
    provider = Provider(os.environ["STACK_FILE"], delays)
    asyncio.run(serve(os.environ["STACK_HOST"], int(os.environ["STACK_PORT"]), provider.handle))


if __name__ == "__main__":
    main()
