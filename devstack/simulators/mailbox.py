"""The customers' mailbox: takes every mail by SMTP, keeps it, and shows it on a page and as JSON.

A mail is accepted only after it was committed, so that a mail the service counts as sent is never lost here.
"""

from __future__ import annotations

import asyncio
import email.policy
import html
import json
import os
import sqlite3
from datetime import UTC, datetime
from email import message_from_bytes
from typing import TYPE_CHECKING, Any

from aiosmtpd.smtp import SMTP

from devstack.simulators.http_server import Answer, Request, serve

if TYPE_CHECKING:
    from aiosmtpd.smtp import Envelope, Session

SCHEMA = """
CREATE TABLE IF NOT EXISTS mail (position INTEGER PRIMARY KEY, received_at TEXT NOT NULL, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS recipient (address TEXT, position INTEGER, PRIMARY KEY (address, position)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS recipient_position ON recipient (position);
"""
ON_PAGE = 200
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Waybill: mailbox</title>
<meta http-equiv="refresh" content="5"><style>body{{font:16px system-ui;max-width:50em;margin:2em auto;padding:0 1em}}
article{{border-top:1px solid #999;padding:1em 0}}pre{{white-space:pre-wrap;font:inherit}}
small{{opacity:.7}}</style><h1>Mailbox</h1><p>{count}</p>{mails}</html>"""
MAIL = "<article><h2>{subject}</h2><small>to {to}, {received_at}</small><pre>{text}</pre></article>"


class Mailbox:
    """Keep mail and show it."""

    def __init__(self, store: str) -> None:
        self.db = sqlite3.connect(store, isolation_level=None)
        self.db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; {SCHEMA}")

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Keep one mail, then accept it."""
        self.keep(envelope.rcpt_tos, envelope.original_content or b"")
        return "250 kept"

    def keep(self, recipients: list[str], content: bytes) -> None:
        """Write a mail, as it came, and its recipients."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            row = (now, content)
            position = self.db.execute("INSERT INTO mail (received_at, content) VALUES (?, ?)", row).lastrowid
            pairs = [(address, position) for address in dict.fromkeys(recipients)]
            self.db.executemany("INSERT INTO recipient VALUES (?, ?)", pairs)
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    def messages(self, to: str | None = None, limit: int = -1) -> list[dict[str, Any]]:
        """Return the mails, newest first, those to one address or all."""
        chosen = "WHERE position IN (SELECT position FROM recipient WHERE address = :to)" if to else ""
        query = f"""SELECT received_at, content,
            (SELECT json_group_array(address) FROM recipient WHERE recipient.position = mail.position)
            FROM mail {chosen} ORDER BY position DESC LIMIT :limit"""  # noqa: S608 - no value is put in
        return [
            {"to": json.loads(to_all), "received_at": received_at, **_read(content)}
            for received_at, content, to_all in self.db.execute(query, {"to": to, "limit": limit})
        ]

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        if request.method != "GET":
            return Answer(405, {"status": "method_not_allowed"})
        match request.path:
            case "/livez":
                return Answer(200, {"status": "ok"})
            case "/messages":
                return Answer(200, {"items": self.messages(request.query.get("to"))})
            case "/":
                return Answer(200, self.page())
            case _:
                return Answer(404, {"status": "not_found"})

    def page(self) -> str:
        """Return the newest mails as a page."""
        mails = self.messages(limit=ON_PAGE)
        count: int = self.db.execute("SELECT count(*) FROM mail").fetchone()[0]
        shown = f"{count} received" if count <= ON_PAGE else f"{count} received, the newest {ON_PAGE} shown"
        fields = ({**mail, "to": ", ".join(mail["to"])} for mail in mails)
        escaped = ({name: html.escape(str(value)) for name, value in each.items()} for each in fields)
        return PAGE.format(count=shown, mails="".join(MAIL.format(**each) for each in escaped))


def _read(content: bytes) -> dict[str, Any]:
    """Return what a mail says. It is read when it is shown: that takes longer than all the rest of taking it."""
    message = message_from_bytes(content, policy=email.policy.default)
    part = message.get_body(preferencelist=("plain", "html"))
    return {
        "subject": str(message.get("subject", "")),
        "text": str(part.get_content()) if part else "",
        "headers": {name: str(value) for name, value in message.items()},
    }


async def run(host: str, port: int, smtp_port: int, store: str) -> None:
    """Take mail and show it until told to stop."""
    mailbox = Mailbox(store)
    loop = asyncio.get_running_loop()
    await loop.create_server(
        lambda: SMTP(mailbox, enable_SMTPUTF8=True, hostname="mailbox.localhost"), host, smtp_port, backlog=256
    )
    await serve(host, port, mailbox.handle)


def main() -> None:
    """Serve where the environment says."""
    told = os.environ
    asyncio.run(run(told["STACK_HOST"], int(told["STACK_PORT"]), int(told["STACK_SMTP_PORT"]), told["STACK_FILE"]))


if __name__ == "__main__":
    main()
