"""The plan of the inventory service."""

from chassis.service import Service
from inventory_service import domain, models, reactions

service = Service("inventory_service", domain, reactions, models)
