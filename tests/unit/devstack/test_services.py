"""services.toml says which services there are; what it cannot mean is refused with the entry and the way to mend it."""

import pytest

from catalogue import book
from devstack.errors import DevstackError
from devstack.services import EVERY, FILE, SERVICES, read

ENTRY = 'title = "Orders"\ntopics = ["order.events.v1"]\nprograms = ["web", "relay"]\n'


def test_the_topics_of_each_service_are_those_that_it_writes():
    written = {
        name: [chapter.topic.name for chapter in book.read().written_by(one.package)] for name, one in SERVICES.items()
    }
    assert written == {name: list(one.topics) for name, one in SERVICES.items()}


def test_the_order_of_the_file_is_kept():
    assert list(EVERY) == [line[1:-1] for line in FILE.read_text().splitlines() if line.startswith("[")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "[order]\n" + ENTRY + "port = 1\n",
            "[order]: unknown key 'port'; there are title, topics, programs, calls and decides",
        ),
        ('[order]\ntitle = "Orders"\ntopics = []\n', "[order]: programs is missing"),
        ("[order]\n" + ENTRY.replace("web", "www"), "[order]: no program is called 'www'; choose from web, consumer"),
        ("[order]\n" + ENTRY + 'calls = "bank"\n', "[order]: calls is 'bank'; a worker can call provider or mailbox"),
        ("[Order]\n" + ENTRY, "[Order]: a service's name is one word in lower-case letters"),
        ("[a]\n" + ENTRY + "[b]\n" + ENTRY, "both [a] and [b] write order.events.v1; a topic has one writer"),
        ("[a]\n" + ENTRY + "decides = false\n", "[a]: what decides nothing writes no topics and has no worker"),
        ("[order\n", "services.toml: "),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_entry(tmp_path, text, says):
    file = tmp_path / "services.toml"
    file.write_text(text)
    with pytest.raises(DevstackError) as refused:
        read(file)
    assert says in str(refused.value)
