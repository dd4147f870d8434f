"""Settings of the service of reviews while its rows move."""

import moving

from reviews.settings import *  # noqa: F403 - the usual layers of Django settings
from reviews.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, *moving.INSTALLED_APPS]
WAYBILL = moving.waybill("reviews")
