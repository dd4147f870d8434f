"""The gateway: routes as Gateway API documents, and what Envoy is told of them."""
