"""Broken products, each in one known way, that a run must find: `python -m tests.chaos.mutants NAME PROGRAM...`.

The program is started as ever, with one function of its own replaced.
"""

import json
import runpy
import sys
import uuid
from collections.abc import Callable
from typing import Any, NamedTuple

from devstack import services


class Case(NamedTuple):
    """A mutant, the programs it is in, the fault under which it shows, and the counts of which one must not be 0."""

    apply: Callable[[], None]
    programs: tuple[str, ...]
    fault: str
    shows_as: frozenset[str]


def publish_before_commit() -> None:
    """Send each event to Kafka inside the transaction that may yet roll back."""
    import confluent_kafka

    from waybill.contracts import codec
    from waybill.outbox import outbox
    from waybill.runtime.settings import settings

    honest = outbox.write
    producers: list[Any] = []

    def write(events: Any, using: str = "default", **more: Any) -> None:
        honest(events, using, **more)
        if not producers:
            producers.append(confluent_kafka.Producer(dict(settings().kafka)))
        for one in events:
            if one.event.topic:
                headers = {"ce_id": one.event_id, "ce_sequence": str(one.version), "ce_type": "waybill.mutant.Early"}
                producers[0].produce(one.event.topic, codec.encode(one.event), one.event.aggregate_id, headers=headers)
        producers[0].flush(5)

    outbox.write = write


def cursor_by_highest_id() -> None:
    """Take what is above the highest position seen; what becomes visible below it later is never looked at."""
    from outbox_relay.relay.cursor import Cursor

    def passing(self: Cursor, visible: Any, *_: object) -> Cursor:
        above = [position for position in visible if position > self.position]
        return Cursor(above[-1] if above else self.position)

    Cursor.passing = passing  # type: ignore[method-assign]


def offset_before_commit() -> None:
    """Commit Kafka's offsets before the database has what they stand for."""
    import confluent_kafka

    from waybill.consumer import loop

    honest = loop._until_handled

    def first(running: Any, messages: Any) -> bool:
        offsets = {(m.topic, m.partition): m.offset + 1 for m in messages}
        running.consumer.commit(
            offsets=[confluent_kafka.TopicPartition(*place, offset) for place, offset in offsets.items()],
            asynchronous=False,
        )
        return honest(running, messages)

    loop._until_handled = first


def inbox_row_left_out() -> None:
    """Handle one message in seven without leaving its inbox row."""
    from waybill.inbox import inbox

    honest = inbox.receive

    def receive(consumer: str, messages: Any, **more: Any) -> inbox.Receipt:
        unlucky = [m for m in messages if int(m.event_id[-2:], 16) % 7 == 0]
        written = honest(consumer, [m for m in messages if m not in unlucky], **more)
        return written._replace(fresh=written.fresh | {m.inbox_id for m in unlucky})

    inbox.receive = receive


def refund_dropped() -> None:
    """Hear from the provider that a refund was paid which it was never asked for."""
    import httpx2 as httpx

    honest = httpx.Client.send

    def send(self: httpx.Client, request: httpx.Request, **more: Any) -> httpx.Response:
        if request.url.path != "/v1/refunds":
            return honest(self, request, **more)
        asked = json.loads(request.content)
        paid = {"id": f"re_{uuid.uuid4().hex}", "status": "refunded", "currency": "EUR", **asked}
        return httpx.Response(200, json=paid, request=request)

    httpx.Client.send = send  # type: ignore[method-assign]


SERVICES = tuple(service.package for service in services.SERVICES.values())
MUTANTS = {
    "publish-before-commit": Case(
        publish_before_commit, SERVICES, "kill -9 at unit_of_work.appended", frozenset({"ghosts"})
    ),
    "cursor-by-highest-id": Case(cursor_by_highest_id, ("outbox_relay",), "freeze before commit", frozenset({"lost"})),
    "offset-before-commit": Case(
        offset_before_commit, SERVICES, "kill -9 at unit_of_work.appended", frozenset({"lost", "stuck"})
    ),
    "inbox-row-left-out": Case(
        inbox_row_left_out, SERVICES, "freeze before commit", frozenset({"double_effects", "lost"})
    ),
    "refund-dropped": Case(
        refund_dropped, ("payment_service",), "freeze before commit", frozenset({"ledger_mismatch"})
    ),
}


def main() -> None:
    """Apply the mutant where it belongs, and become the program."""
    name, program, *arguments = sys.argv[1:]
    sys.argv = [program, *arguments]
    mutant = MUTANTS[name]
    if program in mutant.programs:
        mutant.apply()
    elif program == "waybill" and arguments[0] in mutant.programs:
        _once_django_is_ready(mutant.apply)
    runpy.run_module(program, run_name="__main__", alter_sys=True)


def _once_django_is_ready(apply: Callable[[], None]) -> None:
    from waybill.runtime import django_settings

    honest = django_settings.configure_django

    def configured(*arguments: Any, **more: Any) -> None:
        honest(*arguments, **more)
        apply()

    django_settings.configure_django = configured


if __name__ == "__main__":
    main()
