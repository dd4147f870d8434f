"""Secrets from the environment or from files, as Docker and Kubernetes mount them; shown by nothing.

Every secret NAME may be given as NAME_FILE, a file with the secret and nothing else. What is held is `SecretStr`, or
`Masked` where others take it as text. A password in a URL is masked in every line of a log.
"""

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, get_args

from pydantic import AfterValidator, PlainSerializer, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, SettingsConfigDict

MASK: Final = "**********"
LARGEST_BYTES: Final = 1_000_000
PASSWORD_OF_A_URL: Final = re.compile(r"(?<=://)([^\s/@:\"']*):[^\s/\"']*@")


class Masked(str):
    """A secret as plain text for who needs one; its `repr`, which dumps and tracebacks show, has nothing of it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(MASK)


SECRET: Final = PlainSerializer(lambda _: MASK)
"""Marks a type as a secret's."""
SecretText = Annotated[str, AfterValidator(Masked), SECRET]


class SecretSettings(BaseSettings):
    """Settings whose secrets may come from files."""

    model_config = SettingsConfigDict(hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _from_files(cls, given: dict[str, Any]) -> dict[str, Any]:
        prefix = str(cls.model_config.get("env_prefix", ""))
        for name, field in cls.model_fields.items():
            variable = f"{prefix}{name}".upper()
            told_by_code = name in given and variable not in os.environ
            if is_secret(field) and not told_by_code and (value := secret_of(variable)):
                given[name] = value
        return given


def is_secret(field: FieldInfo) -> bool:
    """Tell whether a setting is one."""
    return SECRET in field.metadata or _names_secret(field.annotation)


def _names_secret(annotation: Any) -> bool:
    return annotation in (SecretStr, SECRET) or any(map(_names_secret, get_args(annotation)))


_sources: Final = dict[str, Callable[[], str | None]]()  # a secret → what has it now; of those that files hold


def renewed(secret: str) -> str:
    """Return what the file holds now that the secret was read from: for whoever connects, not for what stands.

    The secret itself where it is from no file, and while that cannot be read.
    """
    source = _sources.get(secret)
    try:
        return (source and source()) or secret
    except ValueError:
        return secret


def renew_part(whole: str, part: str, choose: Callable[[str], str | None]) -> None:
    """Let a part of a secret be renewed with it; `choose` finds the part in the whole, and may raise ValueError."""
    if whole in _sources:
        _sources[part] = lambda: choose(renewed(whole))


def secret_of(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the secret that the variable holds, or the file that NAME_FILE leads to; None where neither is set.

    Raises ValueError where both are set, or the file holds none.
    """
    variable, value, path = f"{name}_FILE", environment.get(name), environment.get(f"{name}_FILE")
    if not path:
        return value
    if value:
        raise ValueError(f"{name} and {variable} are both set; keep one")
    try:
        with Path(path).open("rb") as file:
            content = file.read(LARGEST_BYTES).decode().rstrip("\r\n")
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ValueError(f"{variable}: {path}: {said}") from None
    if not content:
        raise ValueError(f"{variable}: {path}: it is empty")
    _sources[content] = partial(secret_of, name, {variable: path})
    return content


def without_passwords(text: str) -> str:
    """Return the text with the password of every URL in it masked."""
    return PASSWORD_OF_A_URL.sub(rf"\1:{MASK}@", text) if "://" in text else text
