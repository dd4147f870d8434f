"""The form of an address that any mail server takes: ASCII only, at a domain name.

Domains are encoded by IDNA 2008, under which `straße.de` is a domain of its own. Python's codec follows IDNA 2003 and
would send to `strasse.de`, which may be somebody else's. What the standards allow and hardly any server takes is
refused: quoted local parts, which may hold control characters, and hosts without a domain, which lead into our network.
"""

import unicodedata
from typing import Final

import idna
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator

VALID: Final = EmailValidator(allowlist=[])
LONGEST_LOCAL: Final = 64  # RFC 5321, 4.5.3.1
LONGEST_DOMAIN: Final = 253
ACE: Final = "xn--"


def ascii_form(address: str) -> str:
    """Return the address with its domain in ASCII.

    Raises:
        ValueError: There is none; the message says why.

    """
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        raise ValueError("the part before the @ is not ASCII, which most mail servers do not take")
    try:
        VALID(address)
    except ValidationError:
        raise ValueError("not a mail address") from None
    if '"' in local or domain.startswith("["):
        raise ValueError("not a plain mail address: no quotes before the @, and a domain name behind it")
    if len(local) > LONGEST_LOCAL:
        raise ValueError(f"the part before the @ is longer than {LONGEST_LOCAL} characters")
    domain = _ascii_domain(domain)
    if len(domain) > LONGEST_DOMAIN:
        raise ValueError(f"the domain is longer than {LONGEST_DOMAIN} characters in ASCII")
    return f"{local}@{domain}"


def _ascii_domain(domain: str) -> str:
    if domain.isascii() and ACE not in domain.lower():
        return domain
    try:
        return idna.encode(unicodedata.normalize("NFC", domain.lower()), uts46=False).decode()
    except idna.IDNAError as error:
        raise ValueError(f"the domain is not valid by IDNA 2008: {error}") from None
