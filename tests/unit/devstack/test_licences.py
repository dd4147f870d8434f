"""A package whose licence is unknown, or not allowed, gets into no image."""

from email.message import Message

import pytest

from devstack.supply import licences
from devstack.supply.licences import Package


def told(**fields: str | list[str]) -> Message:
    """The metadata of a package."""
    message = Message()
    for name, value in fields.items():
        for one in value if isinstance(value, list) else [value]:
            message[name.replace("_", "-")] = one
    return message


def test_every_package_of_the_images_may_be_there():
    found = licences.packages()
    assert {"django", "psycopg", "confluent-kafka", "aiosmtpd"} <= {one.name for one in found}
    assert [why for one in found if (why := licences.why_not(one))] == []


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License_Expression": "MIT OR GPL-3.0-only"}, "MIT OR GPL-3.0-only"),
        ({"License": "MIT"}, "MIT"),
        ({"License": "", "Classifier": ["License :: OSI Approved :: Apache Software License"]}, "Apache-2.0"),
        ({"Classifier": ["License :: OSI Approved", "License :: OSI Approved :: MIT License"]}, "MIT"),
        ({"License": "BSD", "Classifier": ["License :: OSI Approved :: BSD License"]}, None),
        ({"License": "ask us"}, None),
        ({}, None),
    ],
)
def test_a_licence_is_read_where_metadata_has_it(fields, licence):
    assert licences.licence(told(**fields)) == licence


@pytest.mark.parametrize("licence", ["MIT", "Apache-2.0 AND MIT", "MIT OR GPL-3.0-only", "GPL-3.0-only OR MIT AND ISC"])
def test_what_is_allowed_or_has_an_allowed_alternative_is_taken(licence):
    assert licences.why_not(Package("lamp", licence)) is None


@pytest.mark.parametrize("licence", ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "SSPL-1.0", "BUSL-1.1 OR SSPL-1.0"])
def test_what_is_not_allowed_is_refused_by_name(licence):
    assert licences.why_not(Package("lamp", licence)).startswith(f"lamp: {licence} is not allowed")


def test_an_unknown_licence_is_refused():
    assert licences.why_not(Package("lamp", None)).startswith("lamp: its metadata names no licence")


def test_lint_refuses_it(monkeypatch, capsys):
    monkeypatch.setattr(licences, "ALLOWED", {name: why for name, why in licences.ALLOWED.items() if name != "MPL-2.0"})
    with pytest.raises(SystemExit, match="1"):
        licences.main()
    assert [line.partition(":")[0] for line in capsys.readouterr().err.splitlines()] == ["certifi"]
