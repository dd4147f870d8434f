"""The catalogue on a service, and all other models in the local database."""

from shop.settings.services import *  # noqa: F403 - the usual layers of Django settings
from shop.settings.services import DATABASES

DATABASES = {name: DATABASES[name] for name in ("default", "catalogue")}
