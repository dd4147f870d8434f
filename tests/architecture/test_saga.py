"""docs/saga.md is what the deciders decide today."""

from tests.model import page


def test_the_page_of_the_saga_follows_from_the_deciders():
    assert page.PAGE.read_text() == page.page(), "run `python -m tests.model.page` and commit what it writes"
