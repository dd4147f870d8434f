"""deploy/gateway and deploy/kubernetes/gateway: against the definitions of their kinds, and against each other."""

from pathlib import PurePosixPath

import pytest
import yaml

from devstack.folder import CHECKOUT
from devstack.infrastructure import gateway
from devstack.parts import AUDIENCE
from devstack.services import EVERY
from tests.support.gateway import definitions
from tests.support.gateway.golden import DOCUMENTS
from tests.support.kubernetes import network, schemas
from tests.support.kubernetes.rendering import identity, of_kind, rendered_folder
from waybill.gateway.compiler import compiled
from waybill.gateway.documents.document import KINDS, Document, read
from waybill.gateway.site import Site

NAMESPACE = "waybill-gateway"
SITE = Site(backends={f"waybill-{name}/web": "127.0.0.1:1" for name in EVERY}, listeners={"http": "127.0.0.1:80"})
RENDERED = rendered_folder(CHECKOUT / "deploy" / "kubernetes" / "gateway")
PATCHED = {("HTTPRoute", "console"), ("SecurityPolicy", "tokens")}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_what_the_compiler_takes_is_what_the_kinds_own_definitions_take(case):
    for one in read(DOCUMENTS[case]):
        assert definitions.problems(one.body) == []


def test_a_field_that_the_definition_does_not_have_is_seen():
    body = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    assert len(definitions.problems({**body, "spec": {"rules": [{"retrys": 1}]}})) == 1


@pytest.mark.parametrize("one", RENDERED, ids=lambda one: "-".join(identity(one)))
def test_every_object_of_the_cluster_has_the_fields_of_its_kind_and_no_others(one):
    problems = definitions.problems if schemas.key(one) in definitions.known() else schemas.problems
    assert problems(one) == []


def test_a_cluster_gets_the_routes_that_the_gateway_here_has():
    ours = {(one.kind, one.name): one for one in read(CHECKOUT / "deploy" / "gateway")}
    theirs = {identity(one): one for one in RENDERED if one["kind"] in KINDS}
    assert ours.keys() == theirs.keys()
    rendered = [Document(kind, name, {**one}) for (kind, name), one in theirs.items()]
    for each in rendered:
        each.body["metadata"].pop("labels")
    here = compiled([one for key, one in ours.items() if key not in PATCHED], SITE, PurePosixPath("/"))
    there = compiled([one for one in rendered if (one.kind, one.name) not in PATCHED], SITE, PurePosixPath("/"))
    assert (here.routes, here.clusters) == (there.routes, there.clusters)


def test_every_route_leads_where_a_grant_and_the_network_policies_let_it():
    led_to = {
        (backend["namespace"], backend["name"])
        for route in of_kind(RENDERED, "HTTPRoute")
        for rule in route["spec"]["rules"]
        for backend in rule["backendRefs"]
    }
    assert led_to == {(f"waybill-{name}", "web") for name, one in EVERY.items() if "web" in one.programs}
    granted = {
        (one["metadata"]["namespace"], to["name"])
        for one in of_kind(RENDERED, "ReferenceGrant")
        for to in one["spec"]["to"]
        if one["spec"]["from"]
        == [{"group": KINDS["HTTPRoute"].partition("/")[0], "kind": "HTTPRoute", "namespace": NAMESPACE}]
    }
    assert granted == led_to
    pod = {"metadata": {"labels": {}}, "spec": {"containers": []}}
    wanted = {*((namespace, 8000) for namespace, _ in led_to), ("issuer", 8443), ("envoy-gateway-system", 18000)}
    assert network.may("egress", pod, RENDERED) == wanted | {network.NAMES}
    assert network.may("ingress", pod, RENDERED) == {("everybody", 10080), ("everybody", 10443), ("monitoring", 19001)}
    assert network.denied_by_default(RENDERED)


def test_the_local_stack_knows_the_issuer_that_the_documents_name():
    (policy,) = (one.body for one in read(gateway.DOCUMENTS) if one.kind == "SecurityPolicy")
    (provider,) = policy["spec"]["jwt"]["providers"]
    assert provider["issuer"] == gateway.CLUSTERS_ISSUER
    assert provider["remoteJWKS"]["uri"] == gateway.CLUSTERS_KEYS
    assert provider["audiences"] == [AUDIENCE]


def test_the_kustomization_leaves_no_document_out():
    folder = CHECKOUT / "deploy" / "gateway"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(one.name for one in folder.glob("*.yaml") if one.name != "kustomization.yaml")
