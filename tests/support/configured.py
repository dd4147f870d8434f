"""Importing this configures Django for every service: their modules read settings when they are imported."""

from tests.support import services

services.configure()
