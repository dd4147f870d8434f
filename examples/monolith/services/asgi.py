"""A service as an ASGI application: the one whose settings DJANGO_SETTINGS_MODULE names."""

from django.core.asgi import get_asgi_application

application = get_asgi_application()
