"""The event catalogue: what the contracts, the topics and the services' plans say together, as pages and as AsyncAPI.

It ships with no program. `make docs` writes both; docs/asyncapi/ is committed, docs/catalogue/ is built.
"""
