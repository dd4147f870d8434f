"""Secrets that the database keeps, encrypted by keys that it does not keep (`WAYBILL_ENCRYPTION_KEYS`).

Whoever has a copy of the database, or of a backup, has no secret by it. The first key encrypts and all of them decrypt,
so keys are rotated by putting a new one in front. Without keys texts are kept as they are; what was kept before there
were keys is read on, and encrypted when it is next written.

Fernet: AES-128-CBC with an HMAC of SHA-256, so a text that was changed is refused.
"""

from functools import cache
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.core import checks
from django.db import models

from waybill.runtime.settings import settings

SEALED: Final = "gAAAA"  # how a Fernet token begins: its version, and a time before the year 2106


class Unsealable(Exception):
    """A text was encrypted by a key that is not known here, or was changed."""


class SealedText(models.TextField):  # pyright: ignore[reportMissingTypeArgument] - it takes none when it runs
    """A text that stands encrypted in its column, and is plain in Python. It cannot be looked up by its value."""

    def deconstruct(self) -> Any:
        """Return a plain TextField: to the database it is one."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.TextField", args, kwargs

    def get_prep_value(self, value: Any) -> Any:
        """Encrypt."""
        return None if value is None else seal(value)

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        """Decrypt; raises Unsealable."""
        return None if value is None else unseal(value)


def seal(text: str) -> str:
    """Return the text encrypted, or as it is where there are no keys."""
    keys = settings().encryption_keys
    return _fernet(keys).encrypt(text.encode()).decode() if keys else text


def unseal(kept: str) -> str:
    """Return the text that was kept. Raises Unsealable."""
    if not kept.startswith(SEALED):
        return kept
    try:
        return _fernet(settings().encryption_keys or "").decrypt(kept.encode()).decode()
    except (InvalidToken, ValueError):
        raise Unsealable("no key of WAYBILL_ENCRYPTION_KEYS decrypts what is kept") from None


@cache
def _fernet(keys: str) -> MultiFernet:
    return MultiFernet([Fernet(key.strip()) for key in keys.split(",")])


@checks.register(checks.Tags.security, deploy=True)
def has_keys(**_: Any) -> list[checks.CheckMessage]:
    """Warn where a service keeps secrets as they are."""
    if settings().encryption_keys:
        return []
    hint = "set WAYBILL_ENCRYPTION_KEYS; docs/how-to/rotate-keys.md says how"
    return [checks.Warning("The database keeps secrets as they are.", hint=hint, id="waybill.W101")]
