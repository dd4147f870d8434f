"""A filter comes back from a URL as it went into one."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as some

from waybill.rest import filters
from waybill.rest.filters import EVERYTHING, NOTHING, AllOf, AnyOf, Compare, Not, all_of, any_of, negated

FIELDS = ("name", "pages")
texts = some.text(max_size=5)
compares = (
    some.builds(Compare, some.just("name"), some.sampled_from(["exact", "icontains", "startswith"]), texts)
    | some.builds(Compare, some.just("name"), some.just("in"), some.lists(texts, min_size=1, max_size=3).map(tuple))
    | some.builds(Compare, some.sampled_from(FIELDS), some.just("isnull"), some.booleans())
)
trees = some.recursive(
    compares,
    lambda inner: (
        some.lists(inner, max_size=3).map(all_of) | some.lists(inner, max_size=3).map(any_of) | inner.map(negated)
    ),
    max_leaves=5,
)


def parts(tree):
    return tree.parts if isinstance(tree, AllOf) else (tree,)


@given(trees)
def test_a_filter_comes_back_from_a_url(tree):
    query = urlencode(filters.as_parameters(tree))
    found = filters.from_parameters(parse_qsl(query, keep_blank_values=True), FIELDS)
    assert set(parts(found)) == set(parts(tree))  # what must all hold may come in another sequence


def test_what_all_must_hold_stands_in_plain_parameters():
    tree = all_of(
        [Compare("name", "exact", "x"), Compare("pages", "in", (1, 2)), Compare("name", "isnull", value=False)]
    )
    assert filters.as_parameters(tree) == [("name__exact", "x"), ("pages__in", "1,2"), ("name__isnull", "false")]


def test_a_list_whose_texts_have_commas_goes_as_json():
    ((name, text),) = filters.as_parameters(Compare("name", "in", ("a,b", "c")))
    assert (name, text) == ("filter", '{"field":"name","lookup":"in","value":["a,b","c"]}')


def test_filters_are_as_small_as_they_can_be_said():
    one = Compare("name", "exact", "x")
    assert all_of([one, NOTHING]) == NOTHING
    assert any_of([one, EVERYTHING]) == EVERYTHING
    assert all_of([one, EVERYTHING]) == any_of([one, NOTHING]) == negated(negated(one)) == one
    assert (negated(EVERYTHING), negated(NOTHING)) == (NOTHING, EVERYTHING)


@pytest.mark.parametrize(
    ("tree", "true"),
    [
        (Compare("name", "isnull", value=True), True),
        (Compare("name", "isnull", value=False), False),
        (Not(Compare("name", "exact", "x")), True),
        (AllOf((Compare("name", "isnull", value=True), Compare("pages", "gt", 1))), False),
        (AnyOf((Compare("name", "isnull", value=True), Compare("pages", "gt", 1))), True),
    ],
)
def test_a_row_of_nulls_is_told_from_others(tree, true):
    assert filters.true_of_nulls(tree) is true
