"""The services that are searched, by their short names."""

from inventory_service.service import service as inventory
from notification_service.service import service as notification
from order_service.service import service as orders
from payment_service.service import service as payment

SERVICES = {"order": orders, "inventory": inventory, "payment": payment, "notification": notification}
