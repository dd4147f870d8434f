"""The plan of the vouchers."""

from vouchers import domain, models, reactions
from waybill.deciders.service import Service

service = Service("vouchers", domain, reactions, models)
