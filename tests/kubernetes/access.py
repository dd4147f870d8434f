"""What a service's accounts may do, and what a namespace lets run, asked of the API server."""

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any, Final

from devstack.harness.wait import wait_until
from tests.kubernetes.api import Api, Refused
from tests.support.kubernetes.rendering import Manifest, identity, of_kind, pods

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete")
RESOURCES: Final = (
    *(("", name) for name in ("secrets", "configmaps", "pods", "pods/exec", "serviceaccounts/token", "namespaces")),
    *(("apps", "deployments"), ("batch", "jobs"), ("networking.k8s.io", "networkpolicies")),
    ("rbac.authorization.k8s.io", "rolebindings"),
)
# What the server lets everybody do who has a token: ask what they may do, and who they are.
EVERYBODY: Final = {"authorization.k8s.io", "authentication.k8s.io"}
PRIVILEGE: Final = "violates PodSecurity"
# Each breaks one rule of `restricted`.
VIOLATIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "root": {"runAsUser": 0, "runAsNonRoot": False},
    "privileged": {"privileged": True, "allowPrivilegeEscalation": True},
    "escalation": {"allowPrivilegeEscalation": True},
    "capabilities": {"capabilities": {"add": ["NET_ADMIN"]}},
    "unconfined": {"seccompProfile": {"type": "Unconfined"}},
}


def account(namespace: str, name: str) -> str:
    """Return the user that a service account is."""
    return f"system:serviceaccount:{namespace}:{name}"


def rights(api: Api, namespace: str, name: str) -> Iterator[str]:
    """Yield what an account may do beyond what everybody may."""
    user = account(namespace, name)
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    for group, resource in RESOURCES:
        plain, _, subresource = resource.partition("/")
        for verb in VERBS:
            asked = {
                "namespace": namespace,
                "verb": verb,
                "group": group,
                "resource": plain,
                "subresource": subresource,
            }
            review = {"user": user, "groups": groups, "resourceAttributes": asked}
            if api.review("SubjectAccessReview", review)["allowed"]:
                yield f"{user} may {verb} {resource}"
    listed = api.review("SelfSubjectRulesReview", {"namespace": namespace}, as_user=user)
    for rule in listed["resourceRules"]:
        if not set(rule["apiGroups"]) <= EVERYBODY:
            yield f"{user} may {rule['verbs']} {rule['resources']}"


def see_a_role(api: Api, namespace: str, name: str) -> None:
    """Bind a role to an account, wait until it is seen to have rights, and take it away: the check can fail.

    Raises:
        AssertionError: the account seems to have none.

    """
    group = "rbac.authorization.k8s.io"
    # `view` itself is put together by a controller, and there is none.
    binding = {
        "apiVersion": f"{group}/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "trial", "namespace": namespace},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "system:aggregate-to-view"},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    api.create(binding)
    try:
        # The server learns of a binding by a watch of its own.
        wait_until(
            lambda: f"{account(namespace, name)} may list pods" in rights(api, namespace, name),
            deadline_seconds=20,
            what="rights by a role",
        )
    finally:
        api.ask("DELETE", f"/apis/{group}/v1/namespaces/{namespace}/rolebindings/trial")


def accounts(objects: Iterable[Manifest]) -> list[str]:
    """Return the names of a service's accounts."""
    return [identity(one)[1] for one in of_kind(objects, "ServiceAccount")]


def pod_of(template: Manifest, namespace: str, program: str) -> dict[str, Any]:
    """Return a pod as a controller would make it of a template."""
    pod = deepcopy({key: template[key] for key in ("metadata", "spec")})
    pod["metadata"] |= {"name": f"{program}-trial", "namespace": namespace}
    pod["metadata"].pop("creationTimestamp", None)
    return {"apiVersion": "v1", "kind": "Pod", **pod}


def may_run(api: Api, namespace: str, objects: Iterable[Manifest]) -> Iterator[str]:
    """Yield what keeps a service's pods from running as they are, and what a pod was given that it must not have."""
    for program, template in pods(objects).items():
        try:
            pod, warnings = api.create(pod_of(template, namespace, program), dry_run=True)
        except Refused as error:
            yield f"{namespace}: {program}: {error}"
            continue
        yield from (f"{namespace}: {program}: {warning}" for warning in warnings)
        if [volume for volume in pod["spec"]["volumes"] if "projected" in volume]:
            yield f"{namespace}: {program} got a token"


def violations(api: Api, namespace: str, objects: Iterable[Manifest]) -> tuple[int, list[str]]:
    """Return how many pods that break a rule were refused, and which were not."""
    refused, taken = 0, []
    for program, template in pods(objects).items():
        for name, change in VIOLATIONS.items():
            pod = pod_of(template, namespace, program)
            pod["spec"]["containers"][0]["securityContext"] |= change
            try:
                api.create(pod, dry_run=True)
            except Refused as error:
                refused += PRIVILEGE in str(error)
                taken += [] if PRIVILEGE in str(error) else [f"{namespace}: {program} ({name}): {error}"]
            else:
                taken.append(f"{namespace}: {program} ({name}) is let run")
    return refused, taken
