"""The house's own rules, held by tests that start nothing."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
SERVICES = ("order_service", "inventory_service", "payment_service", "notification_service")
PACKAGES = ("schemas", "waybill", *SERVICES, "outbox_relay", "devstack", "catalogue")
