"""The plan of the inventory service."""

from inventory_service import domain, models, reactions
from waybill.deciders.service import Service

service = Service("inventory_service", domain, reactions, models)
