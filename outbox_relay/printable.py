"""Text of anybody's made harmless: keys, headers, payloads and reasons are any bytes, and a terminal obeys some.

What is not printable is escaped: control characters (C0, DEL, C1), line separators, bidirectional overrides and so on.
"""


def printable(text: str) -> str:
    """Return the text with all that is not printable escaped as in a Python string."""
    return text if text.isprintable() else "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(one: str) -> str:
    return one.encode("unicode_escape").decode("ascii")
