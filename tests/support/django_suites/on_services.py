"""Settings of Django's tests/runtests.py: both databases are services, whose addresses the environment has."""

import os

ADDRESSES = os.environ["SUITE_SERVERS"].split(",")
DATABASES = {
    alias: {
        "ENGINE": "waybill.rest_backend",
        "NAME": address,
        "OPTIONS": {"timeout": 30, "retries": 0, "max_ids": 1000, "paths": True},
        "TEST": {"RESET": "tests.support.django_suites.runner.reset"},
    }
    for alias, address in zip(("default", "other"), ADDRESSES, strict=True)
}
TEST_RUNNER = "tests.support.django_suites.runner.Runner"
SECRET_KEY = "of a test"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
