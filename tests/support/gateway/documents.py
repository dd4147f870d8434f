"""Documents of the unit tests: one gateway, one route, and what a test adds."""

from waybill.gateway.site import Site

HEAD = "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
POLICY = "apiVersion: gateway.envoyproxy.io/v1alpha1\nkind: {kind}\nmetadata: {{name: p}}\nspec: {spec}\n"
GATEWAY = HEAD.format(
    kind="Gateway", name="g", spec="{gatewayClassName: e, listeners: [{name: http, protocol: HTTP, port: 80}]}"
)
ROUTE = "{parentRefs: [{name: g}], rules: [{name: one, backendRefs: [{name: app}]}]}"
SITE = Site(backends={"app": "127.0.0.1:1", "new": "127.0.0.1:2"}, listeners={"http": "127.0.0.1:80"})


def texts(*more: str, route: str = ROUTE) -> dict[str, str]:
    return {"all.yaml": "---\n".join([GATEWAY, HEAD.format(kind="HTTPRoute", name="r", spec=route), *more])}
