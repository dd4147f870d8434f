"""Stand by, lead, and start again after every failure: what keeps a relay going for as long as its process lives."""

import time
from collections.abc import Callable
from threading import Event
from typing import Any, Final

import psycopg
import structlog

from outbox_relay.relay.dead_letters import DeadLetters
from outbox_relay.relay.kafka.broker import BrokerUnavailable
from outbox_relay.relay.kafka.linger import Linger
from outbox_relay.relay.kafka.producer import RenewProducer, Sender
from outbox_relay.relay.leadership import Leadership
from outbox_relay.relay.safety.positions import PositionsUnsafe, check_server, refuse_standby
from outbox_relay.relay.safety.restore_check import RestoreCheck
from outbox_relay.relay.session import PublishingSession
from outbox_relay.settings import Outbox, RelaySettings
from waybill.database.sqlstate import ErrorClass, classify, one_line
from waybill.observability import metrics
from waybill.observability.program_state import Role
from waybill.runtime import watchdog
from waybill.runtime.condition import Condition
from waybill.runtime.wake_up import WakeUpSignal

log: Any = structlog.get_logger()

PAUSE_SECONDS: Final = (0.1, 2.0)  # shortest and longest between two starts; doubles with each failure
STEADY_SECONDS: Final = 5.0  # a session that lived for so long has not failed at its start: the backoff begins anew


class Program:
    """Serve one database until told to stop; no failure of the environment ends it."""

    def __init__(self, settings: RelaySettings, outbox: Outbox, stopping: Event) -> None:
        """Prepare; touches nothing yet."""
        self.service = outbox.service
        self.condition = Condition(connected=False)
        self._settings = settings
        self._outbox = outbox
        self._stopping = stopping
        self._dead_letters = DeadLetters(settings.kafka, settings.relay_topic_grace_seconds)
        self._linger = Linger(fixed=settings.relay_transactions)  # a transaction waits for all it holds
        self._leads = False
        self._failures = 0
        self._recorded = 0  # the highest position that this process made durable

    def state(self) -> tuple[Role, str | None]:
        """Return whether it leads or stands by, and why it does not do that."""
        return "leading" if self._leads else "standby", self.condition.unready()

    def run(self) -> None:
        """Stand by, lead, and start again after every failure; blocks until told to stop."""
        structlog.contextvars.bind_contextvars(service=self.service)
        with watchdog.watched("relay"):
            self._run()

    def _run(self) -> None:
        while not self._stopping.is_set():
            watchdog.alive()
            try:
                with Leadership(self._outbox, self._settings.relay_stale_seconds) as leadership:
                    refuse_standby(leadership.connection)
                    self._leads = leadership.take(self._stand_by, self._stopping.wait, self._stopping.is_set)
                    if self._leads:
                        self._lead(leadership)
            except psycopg.Error as error:
                operator_needed = classify(error) is ErrorClass.ENVIRONMENT
                self.condition.fails("database", one_line(error), operator_needed=operator_needed)
                self._pause()
            except PositionsUnsafe as error:
                self.condition.fails("database", str(error), operator_needed=True)
                self._stopping.wait(PAUSE_SECONDS[1])
            finally:
                self._leads = False

    def _stand_by(self) -> None:
        self.condition.recovered("database", "broker", "topic", "schema", "paused")
        log.info("relay_stands_by")  # last: who reads it finds the relay ready

    def _lead(self, leadership: Leadership) -> None:
        check_server(leadership.connection, self._recorded)
        self.condition.recovered("database")
        log.info("relay_leads", leader=leadership.name)
        with WakeUpSignal(self._outbox.wake_up) as wake_up, RestoreCheck(self._settings.kafka, self._outbox):
            while not self._stopping.is_set():
                try:
                    self._wait_while_paused(leadership)
                    self._publish(leadership, wake_up)
                except BrokerUnavailable as error:
                    metrics.inc("outbox_publish_failures_total", service=self.service, reason="broker")
                    self.condition.fails("broker", str(error))
                    self._pause(leadership.beat)
                except RenewProducer as reason:
                    log.info("relay_renews_producer", reason=str(reason))

    def _wait_while_paused(self, leadership: Leadership) -> None:
        """Wait until no pause stands: the next producer then asks the broker anew how many partitions a topic has."""
        if leadership.asked.pause:
            self.condition.fails("paused", leadership.asked.pause)
            leadership.wait_while_paused(self._stopping.wait, self._stopping.is_set)
        self.condition.recovered("paused")

    def _publish(self, leadership: Leadership, wake_up: WakeUpSignal) -> None:
        self._dead_letters.ask_again()
        with Sender(
            self._settings.kafka,
            self.service,
            batch_bytes=self._dead_letters.smallest_limit,
            linger=self._linger,
            transactional=self._settings.relay_transactions,
        ) as sender:
            sender.check()
            session = PublishingSession(self._settings, leadership, sender, wake_up, self._dead_letters, self.condition)
            started = time.monotonic()
            try:
                session.publish(self._stopping)
            except BrokerUnavailable:
                session.find_refused()
                raise
            finally:
                self._recorded = leadership.durable_position
                if session.has_settled or time.monotonic() - started > STEADY_SECONDS:
                    self._failures = 0

    def _pause(self, beat: Callable[[], object] | None = None) -> None:
        least, most = PAUSE_SECONDS
        until = time.monotonic() + min(most, least * 2**self._failures)
        self._failures = min(self._failures + 1, 10)
        while not self._stopping.is_set() and (left := until - time.monotonic()) > 0:
            self._stopping.wait(min(left, 1.0))
            if beat is not None:
                beat()
