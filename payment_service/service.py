"""The plan of the payment service."""

from payment_service import domain, models, provider, reactions, worker
from waybill.deciders.service import Service

service = Service("payment_service", domain, reactions, models, worker, provider.open_breakers)
