"""The page on leaving a monolith is followed as it stands: its foundation here, all of it by `make strangler`."""

import pytest

from tests.strangler import page
from tests.strangler.page import Block
from tests.strangler.walk import Lost, missing, walk


@pytest.fixture
def walked(stack, tmp_path):
    if reason := missing():
        pytest.skip(reason)
    with walk(stack, tmp_path) as made:
        yield made


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_foundation_is_laid_line_by_line_and_a_line_that_fails_ends_the_walk(walked):
    walked.follow(page.blocks(until="1."))
    assert "ready" in walked.said
    assert any("to do before anything moves" in line for line in walked.said), "before the foundation is laid"
    with pytest.raises(Lost, match="failed at line"):
        walked.follow([Block("a line that fails", "sh", "test 1 = 2\n")])


def test_every_step_of_the_page_is_followed():
    headings = list(dict.fromkeys(block.heading for block in page.blocks()))
    assert [name[:2] for name in headings] == ["Th", "0.", "1.", "2.", "3.", "4.", "5.", "6."]
    text = "".join(block.text for block in page.blocks())
    assert [text.count(one) for one in ("\nback ", "\n    back ")] == [1, 1], "reviews, and what all others share"
