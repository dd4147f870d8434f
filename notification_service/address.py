"""The form of an address that any mail server takes: ASCII only.

Domains are encoded by IDNA 2008, under which `straße.de` is a domain of its own. Python's codec follows IDNA 2003 and
would send to `strasse.de`, which may be somebody else's.
"""

import unicodedata

import idna
from django.core.mail.message import sanitize_address


def ascii_form(address: str) -> str:
    """Return the address with its domain in ASCII.

    Raises:
        ValueError: There is none; the message says why.

    """
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        raise ValueError("the part before the @ is not ASCII, which most mail servers do not take")
    if not domain.isascii():
        try:
            domain = idna.encode(unicodedata.normalize("NFC", domain.lower()), uts46=False).decode()
        except idna.IDNAError as error:
            raise ValueError(f"the domain is not valid by IDNA 2008: {error}") from None
    return sanitize_address(f"{local}@{domain}", "ascii")
