"""The plan of the notification service."""

from chassis.service import Service
from notification_service import domain, models, reactions, worker

service = Service("notification_service", domain, reactions, models, worker)
