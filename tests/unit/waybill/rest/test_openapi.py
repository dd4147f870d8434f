"""Each service's document says all that a client needs, and nothing that its examples break."""

import json
import re

import jsonschema_rs
import pytest

from devstack.services import SERVICES
from tests.support.openapi import document_of

REFERENCE = re.compile(r'"\$ref": ?"(#[^"]+)"')


@pytest.fixture(params=SERVICES)
def document(request):
    published = document_of(request.param)
    for reference in set(REFERENCE.findall(json.dumps(published))):
        found = published
        for part in reference[2:].split("/"):
            found = found[part]
    return published


def operations(document):
    return {one["operationId"]: one for path in document["paths"].values() for one in path.values()}


def parameter(operation, name):
    return next((one for one in operation["parameters"] if one["name"] == name), None)


def examples_of(document):
    """Every example, with the schema that it is an example of."""
    for operation in operations(document).values():
        for one in operation["parameters"]:
            if "example" in one:
                yield one["schema"], one["example"]
        for answer in operation["responses"].values():
            for content in answer.get("content", {}).values():
                for example in content.get("examples", {}).values():
                    yield content["schema"], example["value"]
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", ()):
            yield schema, example


def test_every_example_is_one_of_its_schema(document):
    found = list(examples_of(document))
    assert len(found) > 10
    for schema, example in found:
        whole = {**schema, "components": document["components"]}
        jsonschema_rs.validator_for(whole, validate_formats=True).validate(example)


def test_every_operation_lists_its_errors_with_an_example_of_each_code(document):
    for name, operation in operations(document).items():
        assert {"400", "401", "406", "422", "500", "503"} <= set(operation["responses"]), name
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], (name, status)
            if status >= "400":
                (content,) = answer["content"].values()
                assert content["schema"] == {"$ref": "#/components/schemas/Problem"}
                assert all(str(one["value"]["status"]) == status for one in content["examples"].values()), name
        takes_body = "requestBody" in operation
        assert takes_body == ({"413", "415"} <= set(operation["responses"])), name
        assert ("x-required-scope" in operation) == ("403" in operation["responses"]), name


def test_every_operation_has_a_name_of_one_word_and_a_text(document):
    for name, operation in operations(document).items():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
        assert len(operation["description"]) > 20
        assert all(one.get("description") for one in operation["parameters"]), name


def test_links_lead_to_operations_with_parameters_that_they_have(document):
    known = operations(document)
    for operation in known.values():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                followed = known[link["operationId"]]
                assert all(parameter(followed, name) for name in link["parameters"])


def test_placing_needs_a_key_and_a_scope():
    document = document_of("order")
    place = operations(document)["place_order"]
    assert parameter(place, "Idempotency-Key")["required"]
    assert place["security"] == [{"bearer": []}]
    assert place["x-required-scope"] == "orders"
    assert "needs the scope `orders`" in place["description"]
    assert {"Location", "ETag", "Retry-After", "Idempotent-Replayed"} <= set(place["responses"]["202"]["headers"])
    assert set(place["responses"]["202"]["links"]) == {"read_order", "cancel_order", "read_history"}
    codes = place["responses"]["422"]["content"]["application/problem+json"]["examples"]
    assert {"unknown_sku", "not_for_sale", "idempotency_key_reused", "not_valid"} <= set(codes)
    assert "`orders`: place_order" in document["components"]["securitySchemes"]["bearer"]["description"]
    assert set(operations(document)["cancel_order"]["responses"]) >= {"200", "202", "404", "409", "412"}
