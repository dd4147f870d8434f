"""The type of every problem leads to a page on its code."""

from importlib import import_module

import pytest

from devstack.services import SERVICES
from waybill.deciders.outcomes import Code, ErrorCode
from waybill.rest.openapi.problem_pages import known
from waybill.rest.problem import Problem

ENUMS = [Code, import_module("order_service.domain").OrderCode, import_module("inventory_service.domain").InventoryCode]


def test_the_type_of_a_problem_leads_to_the_page_of_its_code(client):
    answer = client.get("/v1/nothing")
    page = client.get(answer.json()["type"])
    assert page.status_code == 200
    assert page.headers["Content-Type"].startswith("text/html")
    assert Code.NOT_FOUND.explained.remedy in page.content.decode()
    assert "/v1/problems/not_found" in client.get("/v1/problems/").content.decode()


def test_a_code_that_does_not_exist_has_no_page(client):
    answer = client.get("/v1/problems/<script>")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


def test_a_name_stands_for_one_error_in_all_services():
    for service in SERVICES.values():
        import_module(f"{service.package}.domain")
    every = [code for enum in ErrorCode.__subclasses__() for code in enum]
    assert len(known()) == len(every)


@pytest.mark.parametrize("code", [code for enum in ENUMS for code in enum])
def test_what_a_client_is_told_of_a_code_is_whole(code):
    said = code.explained
    assert 400 <= said.status < 600
    for sentence in (said.meaning, said.remedy):
        assert sentence[0].isupper() or sentence.startswith("`")
        assert sentence.endswith(".")


def test_a_problem_says_whether_the_same_request_can_succeed_later():
    assert Problem(503, Code.DATABASE_UNAVAILABLE, "away").as_json("r")["retryable"] is True
    assert Problem(422, Code.NOT_VALID, "wrong").as_json("r")["retryable"] is False
