"""The plan of the seats."""

from seats import domain, models, reactions
from waybill.deciders.service import Service

service = Service("seats", domain, reactions, models)
