"""deploy/kubernetes on a real API server: `make k8s`.

The server and its etcd are built from their authors' modules; there is no node and no controller, so nothing runs. What
an API server refuses, keeps and answers is what is looked at.
"""
