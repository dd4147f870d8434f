"""The plan of the notification service."""

from notification_service import domain, models, reactions, worker
from waybill.deciders.service import Service

service = Service("notification_service", domain, reactions, models, worker)
