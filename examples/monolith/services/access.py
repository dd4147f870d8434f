"""Who may use the services: the shop, which knows their token."""

from django.conf import settings
from django.utils.crypto import constant_time_compare

from waybill.deciders.outcomes import Code
from waybill.rest.problem import Problem


def shop_only(request, action):
    """Raise a 401 for everybody else."""
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.SHOP_TOKEN}"):
        raise Problem(401, Code.UNAUTHENTICATED, "send the shop's token", headers={"WWW-Authenticate": "Bearer"})
