"""An address that leads to a server, and later to another: a name or a virtual IP as a failover moves it."""

import socket
from collections.abc import Generator
from contextlib import contextmanager, suppress
from threading import Thread


class Forwarder:
    """Connections stay with the server that they were made to, as with a name that is looked up again."""

    def __init__(self, port: int) -> None:
        self._leads_to = port
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        Thread(target=self._serve, daemon=True).start()

    def lead_to(self, port: int) -> None:
        self._leads_to = port

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                ours, _ = self.listening.accept()
                try:
                    theirs = socket.create_connection(("127.0.0.1", self._leads_to))
                except OSError:
                    ours.close()
                    continue
                for source, target in ((ours, theirs), (theirs, ours)):
                    Thread(target=_pass_on, args=(source, target), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source:  # the target belongs to the other direction's thread
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def forwarder(port: int) -> Generator[Forwarder]:
    running = Forwarder(port)
    try:
        yield running
    finally:
        running.listening.shutdown(socket.SHUT_RDWR)
        running.listening.close()
