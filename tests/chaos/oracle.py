"""What must hold once nothing is left to do, beyond the three records: nothing lost on the way in, nothing done twice.

An event that a service reacts to has an inbox row there and at most one effect of each kind; every order was asked for
by a customer, and every order that a customer was told of is there; stock is what was received less what was
committed; rows are the fold of their events (`outbox rebuild --check`), and `outbox verify` finds nothing.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from importlib import import_module
from typing import Any

import httpx2 as httpx

from devstack.harness.stack import CHECKOUT, Stack
from tests.chaos.load import Load
from tests.support.audit import SERVICES, Audit, examine, reader
from waybill.contracts import codec

# What the last line counts; all of it has to be 0.
KINDS = (
    "lost",
    "ghosts",
    "reordered",
    "double_effects",
    "double_charged",
    "ledger_mismatch",
    "oversold",
    "stuck",
    "double_mail",
    "wrong_dead_letters",
    "not_the_fold",
    "wrong_answers",
)
OUTBOX = """
SELECT event_id::text, event_type, schema_version, topic, aggregate_type, aggregate_id,
       metadata->>'causation_id' AS causation_id FROM waybill_outbox
"""
INBOX = "SELECT split_part(msg_id, ':', 2) AS event_id FROM received WHERE msg_id LIKE '{service}_service:%'"
BUSY = (
    "SELECT task, attempts, last_error FROM waybill_due_task WHERE attempts > 0 OR due_at <= clock_timestamp() LIMIT 3"
)
# While records are compared an order's deadline may come, which takes its row away a moment later.
LATE = (
    "SELECT task, last_error FROM waybill_due_task WHERE attempts > 1 "
    "OR due_at <= clock_timestamp() - interval '10 seconds'"
)
CURSOR = (
    "SELECT position, missing, (SELECT coalesce(max(position), 0) FROM waybill_outbox) AS last "
    "FROM waybill_outbox_cursor"
)
VERIFIED = {
    "lost": "lost",
    "not received": "lost",
    "ghost": "ghosts",
    "reordered": "reordered",
    "versions": "reordered",
}
TYPES_SEEN = "SELECT event_type, payload, schema_version FROM waybill_outbox"


def wanted(service: str) -> set[str]:
    """Return the types of event that a service reacts to."""
    return set(import_module(f"{service}_service.service").service.reaction_to)


def unfinished(stack: Stack) -> list[str]:
    """Return what is still under way; empty where nothing is."""
    with reader(stack, "order") as read:
        n = read("SELECT count(*) AS n FROM orders WHERE status NOT IN ('CONFIRMED', 'CANCELLED')")[0]["n"]
    return under_way(stack) + ([f"{n} orders not ended"] if n else [])


def under_way(stack: Stack, without: Collection[str] = ()) -> list[str]:
    """Return what relays, consumers and workers still have to do, those of some services left out."""
    found: list[str] = []
    published: Counter[str] = Counter()
    received: dict[str, int] = {}
    for service in SERVICES:
        with reader(stack, service) as read:
            if service in without:
                continue
            types = read("SELECT event_type, count(*) AS n FROM waybill_outbox WHERE topic IS NOT NULL GROUP BY 1")
            published.update({row["event_type"]: row["n"] for row in types})
            received[service] = len(read(INBOX.format(service=service)))
            (cursor,) = read(CURSOR)
            at, last, missing = cursor["position"], cursor["last"], cursor["missing"]
            if at < last or missing:
                found.append(f"{service}: relay at {at} of {last}, missing {missing}")
            due = read(BUSY)
            found += [f"{service}: {row['task']} due, {row['attempts']} attempts, {row['last_error']}" for row in due]
    for service, n in received.items():
        expected = sum(published[kind] for kind in wanted(service))
        if n < expected:
            found.append(f"{service}: {n} of {expected} messages received")
    return found


def judge(stack: Stack, load: Load) -> Audit:
    """Compare everything with everything."""
    audit = examine(stack)
    outboxes = {}
    inboxes = {}
    for service in SERVICES:
        with reader(stack, service) as read:
            outboxes[service] = read(OUTBOX)
            inboxes[service] = {row["event_id"] for row in read(INBOX.format(service=service))}
            refused = read("SELECT count(*) AS n FROM published")[0]["n"]
            audit.check(
                not refused, "wrong_dead_letters", f"{service}: {refused} publications are dead letters", refused
            )
            for row in read(LATE):
                audit.add("stuck", f"{service}: {row['task']} is due: {row['last_error']}")
    _effects(audit, outboxes, inboxes)
    _asked_for(audit, stack, load)
    _stock(audit, stack)
    mailbox = httpx.get(f"{stack.urls['mailbox']}/messages", trust_env=False, timeout=30)
    _mail(audit, mailbox.json()["items"])
    _verified(audit, stack)
    _folded(audit, stack)
    for wrong in load.wrong:
        audit.add("wrong_answers", wrong)
    return audit


def _effects(audit: Audit, outboxes: dict[str, list[dict[str, Any]]], inboxes: dict[str, set[str]]) -> None:
    published = [row for rows in outboxes.values() for row in rows if row["topic"]]
    for service, rows in outboxes.items():
        caused = Counter(
            (row["causation_id"], row["aggregate_type"], row["aggregate_id"], row["event_type"])
            for row in rows
            if row["causation_id"]
        )
        for effect, count in caused.items():
            audit.check(count == 1, "double_effects", f"{service}: {effect} {count} times", count - 1)
        types = wanted(service)
        effective = {row["causation_id"] for row in rows}
        for row in published:
            if row["event_type"] in types and row["event_id"] not in inboxes[service]:
                has_effect = row["event_id"] in effective
                text = f"{service}: {row['event_type']} {row['event_id']} has no inbox row, effect: {has_effect}"
                audit.add("double_effects" if has_effect else "lost", text)


def _asked_for(audit: Audit, stack: Stack, load: Load) -> None:
    with reader(stack, "order") as read:
        there = {str(row["order_id"]) for row in read("SELECT order_id FROM orders")}
    told = set(load.placed.values())
    for order_id in told - there:
        audit.add("lost", f"order {order_id}: a customer was told of it, and it is not there")
    for order_id in there - told:
        audit.add("double_effects", f"order {order_id}: no customer was told of it")


def _stock(audit: Audit, stack: Stack) -> None:
    units: dict[str, int] = defaultdict(int)
    with reader(stack, "inventory") as read:
        for row in read(TYPES_SEEN):
            kind = row["event_type"].rpartition(".")[2]
            if kind not in {"StockReceived", "StockCorrected", "StockCommitted"}:
                continue
            event: Any = codec.decode(row["event_type"], row["schema_version"], bytes(row["payload"]))
            if kind == "StockCommitted":
                for line in event.lines:
                    units[line.sku] -= line.quantity
            else:
                units[event.sku] += event.quantity
        for product in read("SELECT sku, on_hand FROM products"):
            sku, on_hand = product["sku"], product["on_hand"]
            audit.check(on_hand == units[sku], "oversold", f"{sku}: {on_hand} on hand, {units[sku]} by its events")


def _mail(audit: Audit, items: Iterable[dict[str, Any]]) -> None:
    mails: dict[tuple[str, str], set[str]] = defaultdict(set)
    for item in items:
        headers = item["headers"]
        # A copy under the same Message-ID is the same mail, and what receives mail knows it by that.
        mails[headers["X-Order-ID"], headers["X-Notification-Kind"]].add(headers["Message-ID"])
    for place, ids in mails.items():
        audit.check(len(ids) == 1, "double_mail", f"{place}: {len(ids)} mails", len(ids) - 1)


def _command(stack: Stack, *arguments: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "outbox_relay", *arguments, "--json"],
        cwd=CHECKOUT,
        env=stack.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode not in {0, 1}:
        raise AssertionError(f"outbox {' '.join(arguments)}: {done.returncode} {done.stderr[-500:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _verified(audit: Audit, stack: Stack) -> None:
    *_, counts = _command(stack, "verify", "--full", "--no-rows")
    for name, kind in VERIFIED.items():
        known = any(finding.kind == kind for finding in audit.found)
        n = counts.get(name, 0)
        audit.check(not n or known, kind, f"outbox verify: {name} {n}", n)


def _folded(audit: Audit, stack: Stack) -> None:
    for line in _command(stack, "rebuild", "--check"):
        if "aggregate_type" in line:
            audit.add("not_the_fold", f"outbox rebuild: {json.dumps(line)[:300]}")


def types_seen(stack: Stack) -> Counter[str]:
    """Count the events of each type; a cancellation with its reason."""
    seen: Counter[str] = Counter()
    for service in SERVICES:
        with reader(stack, service) as read:
            for row in read(TYPES_SEEN):
                kind = row["event_type"].rpartition(".")[2]
                seen[kind] += 1
                if kind in {"OrderCancelled", "OrderCancellationStarted"}:
                    event: Any = codec.decode(row["event_type"], row["schema_version"], bytes(row["payload"]))
                    seen[f"{kind}({event.reason})"] += 1
    return seen


def counts(found: Iterable[Any]) -> dict[str, int]:
    """Sum up by kind, every kind named."""
    return {kind: sum(finding.count for finding in found if finding.kind == kind) for kind in KINDS}
