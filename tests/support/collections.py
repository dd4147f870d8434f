"""A collection as the contract's suite is told of it: a few fields and values, in TOML, for a service in any language.

collection = "reviews"               # its name in the URL
key = "id"
text = "title"                       # a field that takes any text, …
longest = 120                        # … of so many characters at most
nullable = "customer"                # a field that may be null, and is neither a text nor a truth value
rising = [1700, 1815, 1906, 1912]    # four values of it
distinct = "customer_id"             # a whole number that is another one in each item, where one must be
new = { product = 7, stars = 4 }     # what a new item needs beside these two
sample = { … }                       # an item that comes back as it was sent
written_otherwise = { … }            # values of the sample as a filter may write them too
invalid = { stars = 6 }              # by field, a value of its type that is refused
unique = "title"                     # a field of which no two items have the same value, where there is one

[needs.author_id]                    # a field that refers to an item, which is made first
collection = "authors"
new = { name = "Ada" }
"""

import tomllib
import uuid
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx2


@dataclass(frozen=True, kw_only=True)
class Described:
    """What the suite knows of a collection."""

    collection: str
    key: str
    text: str
    longest: int
    nullable: str
    rising: list[Any]
    distinct: str | None = None
    new: dict[str, Any] = field(default_factory=dict)
    sample: dict[str, Any]
    written_otherwise: dict[str, Any] = field(default_factory=dict)
    invalid: dict[str, Any] = field(default_factory=dict)
    unique: str | None = None
    needs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Self:
        return cls(**tomllib.loads(file.read_text(encoding="utf-8")))


class Items:
    """The items of one test: their text begins with a mark that no other test has."""

    def __init__(self, client: httpx2.Client, told: Described, needed: dict[str, Any], mark: str) -> None:
        self.client, self.told, self.mark = client, told, mark
        self.path = f"/{told.collection}"
        self._needed = needed
        self._numbers = count(uuid.uuid4().int % 2**48)

    def body(self, text: str, /, **fields: Any) -> dict[str, Any]:
        distinct = {self.told.distinct: next(self._numbers)} if self.told.distinct else {}
        return {**self.told.new, **self._needed, **distinct, self.told.text: f"{self.mark}{text}", **fields}

    def ranked(self, text: str, rank: int | None) -> dict[str, Any]:
        return self.body(text, **{self.told.nullable: None if rank is None else self.told.rising[rank]})

    def post(self, body: dict[str, Any], **headers: str) -> httpx2.Response:
        return self.client.post(self.path, json=body, headers=headers)

    def made(self, *bodies: dict[str, Any]) -> list[dict[str, Any]]:
        return self.post({"items": list(bodies)}).raise_for_status().json()["items"]

    def get(self, **parameters: Any) -> httpx2.Response:
        return self.client.get(self.path, params={f"{self.told.text}__startswith": self.mark, **parameters})

    def texts(self, **parameters: Any) -> list[str]:
        """Return the texts that are found, without the mark."""
        answer = self.get(**parameters)
        assert answer.status_code == 200, answer.text
        return self.texts_of(answer.json()["items"])

    def texts_of(self, items: list[dict[str, Any]]) -> list[str]:
        return [item[self.told.text].removeprefix(self.mark) for item in items]
