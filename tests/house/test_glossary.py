"""One word for one thing: the words that docs/glossary.md avoids are used nowhere."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house import CHECKOUT

GLOSSARY = CHECKOUT / "docs" / "glossary.md"
SUFFIXES = {".py", ".md", ".yml", ".yaml", ".toml", ".avsc", ".sh", ".json", ""}
NOT_PROSE = {"docs/glossary.md", "tests/house/test_glossary.py", "uv.lock"}

# Words that stand for themselves here: (file, what the line holds, why).
EXCEPTIONS = [
    ("chassis/auth.py", "InvalidKeyError", "PyJWT's name"),
    ("schemas/registry.py", "InvalidURL", "httpx2's name"),
    ("payment_service/provider/stripe.py", "InvalidRequestError", "Stripe's name"),
    ("tests/contracts/test_stripe.py", "InvalidRequestError", "the same"),
    ("benchmarks/open_loop.py", "get_watermark_offsets", "confluent-kafka's name"),
    ("benchmarks/orders.py", "get_watermark_offsets", "the same"),
    ("benchmarks/stage.py", "CHECKPOINT", "PostgreSQL's command"),
    ("benchmarks/stage.py", "checkpoint_timeout", "PostgreSQL's setting"),
    ("benchmarks/results/relay.json", "checkpoint_timeout", "the same"),
    ("devstack/java.py", "listener", "Kafka's setting"),
    ("devstack/supervisor.py", "eventlistener", "supervisor's section"),
    ("docker-compose.kafka.yml", "LISTENER", "Kafka's setting"),
    ("outbox_relay/topic.py", "get_watermark_offsets", "confluent-kafka's name"),
    ("outbox_relay/groups.py", "get_watermark_offsets", "the same"),
    ("schemas/create_topics.py", "KafkaError.INVALID_", "librdkafka's names"),
    ("outbox_relay/parking.py", "KafkaError.INVALID_", "librdkafka's names"),
    ("tests/integration/relay/test_waiting_for_nobody.py", "outbox_position_seq", "PostgreSQL's name of the sequence"),
    ("tests/integration/test_outbox.py", "outbox_position_seq", "the same"),
    ("tests/integration/relay/test_unsafe_positions.py", "outbox_position_seq", "the same"),
    ("tests/integration/relay/postgres.py", "checkpoint", "PostgreSQL's name"),
    ("outbox_relay/server.py", "outbox_position_seq", "the same"),
    ("tests/integration/relay/broker.py", "listeners", "Kafka's setting"),
    ("tests/chaos/stage.py", "listeners", "Kafka's setting"),
    ("tests/unit/outbox_relay/test_refusing.py", "INVALID", "the name of an answer of the broker"),
    ("tests/integration/relay/parts.py", "seq_tup_read", "PostgreSQL's name"),
    ("chassis/program.py", "outbox_position_seq", "the same"),
    ("tests/unit/inventory_service/test_products.py", "revision", "what ReviseProduct asks for, no version"),
    ("tests/house/test_compose.py", "listener", "Kafka's setting"),
    ("tests/house/test_compose.py", "LISTENERS", "Kafka's setting"),
]


def avoided() -> dict[str, str]:
    """Avoided word → what to say."""
    found: dict[str, str] = {}
    for line in GLOSSARY.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and len(cells) == 3 and cells[0] not in {"Say", "---"}:
            found |= dict.fromkeys((word.strip() for word in cells[2].split(",")), cells[0])
    return found


def pattern(words: list[str]) -> re.Pattern[str]:
    """Words of several parts may be joined by a space, a dash or nothing; a plural counts."""
    parts = ("[ -]?".join(re.escape(part) for part in re.split(r"[ -]", word)) for word in words)
    return re.compile(rf"\b(?:{'|'.join(sorted(parts, key=len, reverse=True))})s?\b", re.IGNORECASE)


def plain(line: str) -> str:
    """`DeadLetter` and `dead_letter` read as `Dead Letter` and `dead letter`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", line.replace("_", " "))


def hits(name: str, text: str, wanted: re.Pattern[str]) -> Iterator[str]:
    allowed = [holds for file, holds, _ in EXCEPTIONS if file == name]
    for number, line in enumerate(text.splitlines(), 1):
        if (found := wanted.search(plain(line))) and not any(holds in line for holds in allowed):
            yield f"{name}:{number}: {found[0]!r} in: {line.strip()[:100]}"


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    names = (name for name in done.stdout.splitlines() if Path(name).suffix in SUFFIXES)
    return [name for name in names if name not in NOT_PROSE and (CHECKOUT / name).is_file()]


def test_the_avoided_words_are_used_nowhere():
    wanted = pattern(list(avoided()))
    found = [hit for name in tracked() for hit in hits(name, (CHECKOUT / name).read_text(), wanted)]
    assert found == [], "\n".join(["say it as docs/glossary.md does:", *found])


@pytest.mark.parametrize("line", ["class DeadLetter:", "dead_letters = []", "a dead-letter", "No Watermark.", "DLQs"])
def test_a_word_is_found_however_it_is_written(line):
    assert list(hits("x.py", line, pattern(list(avoided()))))


@pytest.mark.parametrize("line", ["invalidated = 1", "consequence", "nothing is dead. Letters are", "seqincrement"])
def test_a_word_is_not_found_inside_another(line):
    assert not list(hits("x.py", line, pattern(list(avoided()))))


def test_every_entry_has_a_sentence_and_no_word_is_both_said_and_avoided():
    rows = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("|") and "---" not in line]
    assert all(line.strip("|").split("|")[1].strip().endswith(".") for line in rows if not line.startswith("| Say"))
    said = {word.strip().lower() for row in avoided().values() for word in row.split(",")}
    assert said & {word.lower() for word in avoided()} == set()


def test_no_exception_outlives_its_line():
    assert [e for e in EXCEPTIONS if e[1] not in (CHECKOUT / e[0]).read_text()] == []
