"""The plan of the order service."""

from order_service import domain, models, reactions, worker
from waybill.deciders.service import Service

service = Service("order_service", domain, reactions, models, worker)
