"""Documents to Envoy's configuration: golden files, Envoy's own opinion of them, and what is refused."""

import json
from pathlib import PurePosixPath

import pytest
import yaml

from devstack.folder import CHECKOUT
from devstack.services import EVERY
from tests.support.certificates import Authority
from tests.support.gateway.documents import GATEWAY, POLICY, ROUTE, SITE, texts
from tests.support.gateway.golden import DOCUMENTS, FOLDER, configuration, golden
from waybill.gateway.compiler import Configuration, compiled
from waybill.gateway.documents.document import Refused, dump, parse, read
from waybill.gateway.envoy import program as envoy
from waybill.gateway.site import Site

# The public key of RFC 8037.
KEYS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


def made(*more: str, route: str = ROUTE, site: Site = SITE) -> Configuration:
    return compiled(parse(texts(*more, route=route)), site, PurePosixPath("/gateway"))


def routes(configuration: Configuration) -> list[dict]:
    (found,) = configuration.routes.values()
    (host,) = found["virtual_hosts"]
    return host["routes"]


@pytest.mark.parametrize("case", DOCUMENTS)
def test_what_the_documents_come_to_is_what_was_read_and_agreed_to(case):
    for path, text in golden(case).items():
        assert path.read_text() == text, f"{path.name}: python -m tests.support.gateway.golden writes it"
    assert {*golden(case), FOLDER / case / "site.json"} >= set((FOLDER / case).glob("*.json")), "one is left over"


@pytest.mark.parametrize("case", DOCUMENTS)
def test_envoy_takes_what_the_documents_come_to(case, tmp_path):
    if envoy.program() is None:
        pytest.skip("no Envoy")
    text = configuration(case).whole()
    # Files of a certificate and of keys are read too.
    (tmp_path / "a.json").write_text(KEYS)
    pem = Authority(tmp_path / "ca.pem").issue(tmp_path / "pair.pem").read_text()
    (tmp_path / "tls.crt").write_text(pem)
    (tmp_path / "tls.key").write_text(pem)
    for place in ("/certificates", "/keys", "/jwks"):
        text = text.replace(f"{place}/jwks.json", f"{tmp_path}/a.json").replace(place, str(tmp_path))
    envoy.validate_text(text)


def test_envoy_refuses_what_is_no_configuration():
    if envoy.program() is None:
        pytest.skip("no Envoy")
    with pytest.raises(Refused, match="Envoy does not take it"):
        envoy.validate_text(json.dumps({"static_resources": {"clusters": [{"name": "x", "tpye": "STATIC"}]}}))


def test_every_service_with_a_web_program_is_reached_and_all_but_pages_ask_for_a_token():
    shop = configuration("shop")
    reached = {name.split("/")[2].removeprefix("waybill-") for name in (one["name"] for one in shop.clusters)}
    assert reached == {name for name, service in EVERY.items() if "web" in service.programs}
    entries = [one for host in shop.routes["http"]["virtual_hosts"] for one in host["routes"]]
    free = {
        one["name"].split("/")[0]
        for one in entries
        if "envoy.filters.http.jwt_authn" not in one["typed_per_filter_config"]
    }
    assert free == {"problems", "console"}


def test_a_weight_is_in_the_routes_alone():
    def weighted(one: int, other: int) -> dict[str, str]:
        backends = f"[{{name: app, weight: {one}}}, {{name: new, weight: {other}}}]"
        return made(route=f"{{parentRefs: [{{name: g}}], rules: [{{backendRefs: {backends}}}]}}").files("1")

    before, after = weighted(100, 0), weighted(0, 100)
    assert {name for name in before if before[name] != after[name]} == {"routes-http.json"}


def test_no_policy_makes_envoy_repeat_what_may_have_changed_something():
    retry = POLICY.format(
        kind="BackendTrafficPolicy",
        spec="{targetRefs: [{kind: Gateway, name: g}], retry: {numRetries: 5, retryOn: {triggers: [5xx, reset]}}}",
    )
    (one,) = routes(made(retry))
    (methods,) = one["route"]["retry_policy"]["retriable_request_headers"]
    assert methods == {"name": ":method", "string_match": {"safe_regex": {"regex": "GET|HEAD|OPTIONS"}}}


def test_the_most_specific_policy_holds_and_a_merged_one_keeps_the_rest():
    above = (
        "{targetRefs: [{kind: Gateway, name: g}], timeout: {http: {requestTimeout: 9s}}, requestBuffer: {limit: 1k}}"
    )
    own = "{targetRefs: [{kind: HTTPRoute, name: r}], timeout: {http: {requestTimeout: 3s}}%s}"
    policies = [POLICY.format(kind="BackendTrafficPolicy", spec=spec) for spec in (above, own % "")]
    policies[1] = policies[1].replace("name: p", "name: q")
    (alone,) = routes(made(*policies))
    assert alone["route"]["timeout"] == "3s"
    assert "typed_per_filter_config" not in alone
    policies[1] = policies[1].replace("requestTimeout: 3s}}", "requestTimeout: 3s}}, mergeType: JSONMerge")
    (merged,) = routes(made(*policies))
    assert merged["route"]["timeout"] == "3s"
    assert merged["typed_per_filter_config"]["envoy.filters.http.buffer"]["buffer"] == {"max_request_bytes": 1000}


def test_the_longest_path_wins_and_then_the_method_and_then_the_headers():
    rules = """[
      {name: all, matches: [{path: {value: /}}], backendRefs: [{name: app}]},
      {name: short, matches: [{path: {value: /a}}], backendRefs: [{name: app}]},
      {name: headed, matches: [{path: {value: /a/b}, headers: [{name: x, value: y}]}], backendRefs: [{name: app}]},
      {name: method, matches: [{path: {value: /a/b}, method: GET}], backendRefs: [{name: app}]},
      {name: regex, matches: [{path: {type: RegularExpression, value: /a}}], backendRefs: [{name: app}]},
      {name: exact, matches: [{path: {type: Exact, value: /a}}], backendRefs: [{name: app}]}]"""
    names = [one["name"] for one in routes(made(route=f"{{parentRefs: [{{name: g}}], rules: {rules}}}"))]
    assert names == [f"r/{name}" for name in ("exact", "regex", "method", "headed", "short", "all")]


RULE = "{parentRefs: [{name: g}], rules: [{WHAT}]}"
REFUSED = [
    (
        "backendRefs: [{name: app, wieght: 3}]",
        "rules[0].backendRefs[0].wieght is not supported; supported here:",
    ),
    ("retry: {attempts: 3}", "all.yaml: HTTPRoute r.spec.rules[0].retry is not supported"),
    ("sessionPersistence: {}", "rules[0].sessionPersistence is not supported"),
    ("filters: [{type: RequestMirror}]", "filters[0].type: 'RequestMirror' is not supported; choose from"),
    ("matches: [{method: FETCH}]", "matches[0].method: 'FETCH' is not supported"),
    ("timeouts: {request: soon}", "timeouts.request: expected a duration such as 500ms or 1m30s, got 'soon'"),
    ("backendRefs: [{name: app, weight: -1}]", "weight: expected a number from 0 to 1000000, got -1"),
    ("backendRefs: [{name: other}]", "the backend 'other' has no address here; known are app, new"),
    ("name: a}, {name: a", "two rules have one name"),
]


@pytest.mark.parametrize(("rule", "said"), REFUSED)
def test_what_a_route_says_and_is_not_supported_is_refused_by_name_and_place(rule, said):
    with pytest.raises(Refused) as refused:
        made(route=RULE.replace("WHAT", rule))
    assert said in str(refused.value)


TO_GATEWAY = "targetRefs: [{kind: Gateway, name: g}]"
REFUSED_POLICIES = [
    ("BackendTrafficPolicy", "{TO_GATEWAY, faultInjection: {}}", "BackendTrafficPolicy p: spec.faultInjection"),
    (
        "BackendTrafficPolicy",
        "{TO_GATEWAY, rateLimit: {type: Global}}",
        "rateLimit.type: 'Global' is not supported",
    ),
    (
        "BackendTrafficPolicy",
        "{TO_GATEWAY, retry: {retryOn: {triggers: [cancelled]}}}",
        "'cancelled' is not supported",
    ),
    ("SecurityPolicy", "{TO_GATEWAY, basicAuth: {}}", "SecurityPolicy p: spec.basicAuth is not supported"),
    ("ClientTrafficPolicy", "{TO_GATEWAY, http3: {}}", "ClientTrafficPolicy p: spec.http3 is not supported"),
    ("SecurityPolicy", "{targetRefs: [{kind: HTTPRoute, name: r, sectionName: two}]}", "there is no HTTPRoute r/two"),
    ("BackendTrafficPolicy", "{}", "spec.targetRefs is missing"),
]


@pytest.mark.parametrize(("kind", "spec", "said"), REFUSED_POLICIES)
def test_what_a_policy_says_and_is_not_supported_is_refused_by_name_and_place(kind, spec, said):
    with pytest.raises(Refused) as refused:
        # One on a rule that exists, so that it is read at all.
        made(POLICY.format(kind=kind, spec=spec.replace("TO_GATEWAY", TO_GATEWAY)))
    assert said in str(refused.value)


CHECKED = """{parentRefs: [{name: g}], rules: [
  {name: asked, matches: [{path: {value: /a}}]},
  {name: there, backendRefs: [{name: new}],
   matches: [{path: {value: /a}, headers: [{name: X-Owner, value: there}]}]}]}"""
CHECK = "{headersToExtAuth: [X-Plan], recomputeRoute: true, http: {HTTP}}"
HTTP = "path: /things, headersToBackend: [X-Owner, X-Plan], backendRefs: [{name: app}]"
JWT = "jwt: {providers: [{name: a, issuer: i, remoteJWKS: {uri: 'http://keys.invalid/'}}]}"


def checked(*targets: str, check: str = CHECK, http: str = HTTP, more: str = "") -> str:
    """A policy that has these rules checked, all where none is named."""
    names = [f", sectionName: {name}" for name in targets] or [""]
    references = ", ".join(f"{{kind: HTTPRoute, name: r{name}}}" for name in names)
    spec = f"{{targetRefs: [{references}], extAuth: {check.replace('HTTP', http)}{more}}}"
    return POLICY.format(kind="SecurityPolicy", spec=spec).replace("name: p", f"name: p{''.join(targets)}")


def test_what_a_check_says_is_taken_off_a_request_before_anything_goes_by_it_and_not_what_the_check_is_told():
    (listener,) = made(checked(), route=CHECKED).listeners
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    (extension,) = manager["early_header_mutation_extensions"]
    assert extension["typed_config"]["mutations"] == [{"remove": "x-owner"}]


def test_who_is_asked_is_asked_last_and_only_on_the_routes_that_say_so():
    other = "{name: free, matches: [{path: {value: /b}}], backendRefs: [{name: app}]}"
    configuration = made(checked("asked", "there"), route=CHECKED.replace("rules: [", f"rules: [{other},"))
    (listener,) = configuration.listeners
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    names = [one["name"] for one in filters]
    assert names[-2:] == ["envoy.filters.http.ext_authz/app/things", "envoy.filters.http.router"]
    assert filters[-2]["disabled"]
    asking = {one["name"] for one in routes(configuration) if names[-2] in one.get("typed_per_filter_config", {})}
    assert asking == {"r/asked", "r/there"}


CHECKS = [
    ((checked("asked"),), "the rule 'there' goes by x-owner, which only a check may say, and is not checked"),
    (
        (checked("asked"), checked("there", more=f", {JWT}")),
        "the rule 'there' takes other tokens than 'asked' of r, and the check 'app/things' leads from one to the other",
    ),
    (
        (checked("asked"), checked("there", http=HTTP.replace("name: app", "name: app, port: 81"))),
        "two policies say different things of the check 'app/things'",
    ),
    ((checked(http=HTTP.replace("name: app", "name: other")),), "the backend 'other' has no address here"),
    ((checked(http="path: /things"),), "spec.extAuth.http.backendRefs is missing"),
    ((checked(check="{grpc: {backendRef: {name: app}}}"),), "spec.extAuth.http is missing"),
    ((checked(check="{contextExtensions: [], http: {HTTP}}"),), "extAuth.contextExtensions is not supported"),
    ((checked(check="{includeRouteMetadata: true, http: {HTTP}}"),), "extAuth.includeRouteMetadata is not supported"),
    ((checked(http=f"{HTTP}, pathOverride: /x"),), "extAuth.http.pathOverride is not supported"),
    ((checked(check="{statusOnError: 200, http: {HTTP}}"),), "statusOnError: expected a number from 400 to 511"),
    (
        (checked(http=f"{HTTP}, backendSettings: {{retry: {{perRetry: {{timeout: 1s}}}}}}"),),
        "backendSettings.retry.perRetry.timeout is not supported",
    ),
    (
        (checked(http=f"{HTTP}, backendSettings: {{retry: {{retryOn: {{httpStatusCodes: [503]}}}}}}"),),
        "backendSettings.retry.retryOn.httpStatusCodes is not supported",
    ),
    (
        (checked(http=f"{HTTP}, backendSettings: {{loadBalancer: {{}}}}"),),
        "backendSettings.loadBalancer is not supported",
    ),
    (
        (checked(http="backendRefs: [{name: app, weight: 2}]"),),
        "extAuth.http.backendRefs[0].weight is not supported",
    ),
]


@pytest.mark.parametrize(("policies", "said"), CHECKS)
def test_a_check_that_is_not_supported_or_could_be_passed_by_is_refused(policies, said):
    with pytest.raises(Refused) as refused:
        made(*policies, route=CHECKED)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: TLSRoute", "the kind 'TLSRoute' is not supported; there are Gateway, HTTPRoute"),
        (
            "kind: HTTPRoute\napiVersion: gateway.networking.k8s.io/v1beta1",
            "apiVersion 'gateway.networking.k8s.io/v1beta1'",
        ),
        (f"{GATEWAY}---\n{GATEWAY}", "Gateway g is in a.yaml already"),
        ("a: [", "a.yaml: while parsing"),
    ],
)
def test_a_file_that_is_not_of_the_kinds_is_refused(text, said):
    with pytest.raises(Refused) as refused:
        parse({"a.yaml": text})
    assert said in str(refused.value)


def test_a_listener_with_tls_needs_its_certificate_where_it_is_opened():
    tls = "{name: http, protocol: HTTPS, port: 443, tls: {certificateRefs: [{name: pair}]}}"
    documents = texts()
    documents["all.yaml"] = documents["all.yaml"].replace("{name: http, protocol: HTTP, port: 80}", tls)
    with pytest.raises(Refused, match="no certificate 'pair'"):
        compiled(parse(documents), SITE, PurePosixPath("/gateway"))


def test_documents_survive_being_written_and_read():
    every = read(CHECKOUT / "deploy" / "gateway")
    again = parse({"all.yaml": dump(every)})
    assert [one.body for one in again] == [one.body for one in every]
    assert all(isinstance(one, dict) for one in yaml.safe_load_all(dump(every)))
