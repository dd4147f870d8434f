"""`make chaos-migrate`: the webshop's orders go to a service and back, under writers and faults, and nothing is lost.

A program of its own: PostgreSQL, Kafka, registry, relays, consumers, two deployments of the shop, Envoy and two gates.
"""
