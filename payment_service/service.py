"""The plan of the payment service."""

from chassis.service import Service
from payment_service import domain, models, reactions, worker

service = Service("payment_service", domain, reactions, models, worker)
