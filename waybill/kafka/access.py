"""Being let in by a broker: what a client is set up with is checked, a refusal is told, a new password is taken up.

librdkafka tells why it is refused (the password, the broker's certificate) by a callback, and its calls only that no
broker answered. It retries for as long as the client lives, so a refusal is no end: whoever mends it, here or at the
broker, needs to restart nothing.
"""

import logging
import re
import socket
import ssl
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import structlog
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

log: Any = structlog.get_logger()

VARIABLE: Final = "WAYBILL_KAFKA_PROPERTIES_FILE"
REFUSALS: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})  # noqa: SLF001 - librdkafka's own codes
AWAY: Final = frozenset({KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN})  # noqa: SLF001
PLAIN: Final = "plaintext"
ASK_SECONDS: Final = 2.0
LOGIN: Final = ("sasl.username", "sasl.password")
STATE: Final = re.compile(r"\s*\(after \d+ms in state [A-Z_]+.*\)$")  # differs each time

UNTRUSTED: Final = re.compile(r"ssl://\[?([^/\]]+)\]?:(\d+)/.*certificate verify failed")
UNSURE: Final = ": broker certificate could not be verified"

_SILENT: Final = logging.Logger("librdkafka")  # noqa: LOG001 - not in the tree of loggers, so nothing prints it
_SILENT.addHandler(logging.NullHandler())


def check(options: Mapping[str, str]) -> None:
    """Make sure that a client can be made of the options; connects to nothing. Raises ValueError, without a secret."""
    _check(tuple(sorted({**options}.items())))


@lru_cache(maxsize=4)
def _check(options: tuple[tuple[str, str], ...]) -> None:
    for name, value in options:
        if name.endswith(".location"):
            _check_readable(name, value)
    given: Any = {name: value for name, value in options if name != "bootstrap.servers"} | {"logger": _SILENT}
    try:
        Producer(given)
    except KafkaException as error:
        raise ValueError(f"{VARIABLE}: {one_line(error.args[0])}") from None


def _check_readable(name: str, path: str) -> None:
    """Say what librdkafka would say in OpenSSL's numbers; it also takes folders of certificates, and `probe`."""
    try:
        if path != "probe" and not Path(path).is_dir():
            Path(path).open("rb").close()
    except OSError as error:
        raise ValueError(f"{VARIABLE}: {name}: {path}: {error.strerror}") from None


def one_line(error: KafkaError) -> str:
    """Return what librdkafka says, on one line and the same each time."""
    return STATE.sub("", " ".join(error.str().split()))


def reason(options: Mapping[str, str], error: KafkaError) -> str:
    """Return why a call failed: where no broker answered, whether they refuse us. Blocks up to 2 s then."""
    return (refusal(options) if error.code() in AWAY else None) or one_line(error)


def refusal(options: Mapping[str, str]) -> str | None:
    """Ask the brokers, and return why they refuse a client of these options; None where they do not. Blocks 2 s."""
    if options.get("security.protocol", PLAIN).lower() == PLAIN:
        return None
    heard: list[KafkaError] = []
    given: Any = {**options, "error_cb": heard.append, "logger": _SILENT}
    client = AdminClient(given)
    until = time.monotonic() + ASK_SECONDS
    while time.monotonic() < until:
        with suppress(KafkaException):
            client.list_topics(timeout=0.2)
            return None
        client.poll(0)
        if told := [tell(options, one) for one in heard if one.code() in REFUSALS]:
            return told[0]
    # A plain client at a TLS listener, and the reverse, are only hung up on.
    return next((one_line(one) for one in heard if one.code() == KafkaError._TRANSPORT), None)  # noqa: SLF001


def tell(options: Mapping[str, str], error: KafkaError) -> str:
    """Return what librdkafka says, and of a certificate what is wrong with it; blocks some seconds for that."""
    said = one_line(error)
    found = UNTRUSTED.search(said)
    return f"{said.partition(UNSURE)[0]}: {_fault(options, found[1], int(found[2]))}" if found else said


def _fault(options: Mapping[str, str], host: str, port: int) -> str:
    """Look at the broker's certificate as OpenSSL does, which librdkafka calls and does not repeat."""
    try:
        context = ssl.create_default_context(cafile=options.get("ssl.ca.location"))
        with socket.create_connection((host, port), ASK_SECONDS) as plain:
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except OSError as error:
        return str(error)
    return "it is good by now"


class Login:
    """User and password of a program's clients, which change with the file that the options come from."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Take the options that the clients were made of."""
        self._options = options
        self._used = self._now()

    def renew(self, *clients: Any) -> None:
        """Give the clients a password that is new; connections that stand are kept."""
        now = self._now()
        if now == self._used or not all(now):
            return
        for client in clients:
            client.set_sasl_credentials(*now)
        log.info("kafka_login_renewed", user=now[0])
        self._used = now

    def _now(self) -> tuple[str, ...]:
        options = {**self._options}
        return tuple(options.get(name, "") for name in LOGIN)
