"""The plan of the order service."""

from chassis.service import Service
from order_service import domain, models, reactions, worker

service = Service("order_service", domain, reactions, models, worker)
