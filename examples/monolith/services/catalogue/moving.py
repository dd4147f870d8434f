"""Settings of the service of catalogue while its rows move."""

import moving

from catalogue.settings import *  # noqa: F403 - the usual layers of Django settings
from catalogue.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, *moving.INSTALLED_APPS]
WAYBILL = moving.waybill("catalogue")
