"""What the health port leaves out of a reason: addresses, users, statements. The log has all of it.

Whoever reaches the port learns what is wrong and what repairs it, and nothing that helps to get further.
"""

import re
from typing import Final

# What libpq and PostgreSQL name stands in double quotes: hosts, users, databases, tables.
LEFT_OUT: Final = (
    (re.compile(r"\s*LINE \d+:.*", re.DOTALL), ""),  # the statement
    (re.compile(r'"[^"]*"'), "…"),
    (re.compile(r",? ?\bport \d+"), ""),
    (re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE), "…"),
    (re.compile(r"\b(?:ipv[46]#)?\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"), "…"),
    (re.compile(r"(?<![\w:])\[?(?=[0-9a-f:]*(?:::|(?:[0-9a-f]+:){5}))[0-9a-f:]{2,}\]?(?::\d+)?", re.IGNORECASE), "…"),
    (re.compile(r"(?<![\w.:+-])[A-Za-z0-9][A-Za-z0-9.-]*:\d{3,5}\b"), "…"),
    (re.compile(r"\((?:…|\s|,)+\)"), ""),
)


def redacted(reason: str) -> str:
    """Return the reason without what strangers need not know."""
    for pattern, instead in LEFT_OUT:
        reason = pattern.sub(instead, reason)
    return " ".join(reason.split())
