"""The glossary explains each of its entries in a sentence, and none twice."""

from devstack.folder import CHECKOUT

GLOSSARY = CHECKOUT / "docs" / "glossary.md"


def entries() -> list[tuple[str, str]]:
    """What is said, and its meaning."""
    rows = [line.strip("|").split("|") for line in GLOSSARY.read_text().splitlines() if line.startswith("|")]
    return [(row[0].strip(), row[1].strip()) for row in rows if row[0].strip() not in {"Say", "---"}]


def test_every_entry_has_a_sentence():
    assert [name for name, meaning in entries() if not meaning.endswith(".")] == []


def test_no_entry_stands_twice():
    names = [name for name, _ in entries()]
    assert sorted(names) == sorted(set(names))
