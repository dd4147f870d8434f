"""What the services' settings share."""

import os

SECRET_KEY = os.environ.get("SECRET_KEY", "insecure: for development only")
ALLOWED_HOSTS = os.environ.get("ALLOWED_HOSTS", "localhost,127.0.0.1").split(",")
SHOP_TOKEN = os.environ.get("SHOP_TOKEN", "insecure: for development only")
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TIME_ZONE = "Europe/Berlin"
USE_TZ = True


def database(name):
    """The service's own database; SERVICE_DB_NAME names another one."""
    return {
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": os.environ.get("SERVICE_DB_NAME", name),
            "USER": os.environ.get("DB_USER", name),
            "PASSWORD": os.environ.get("DB_PASSWORD", ""),
            "HOST": os.environ.get("DB_HOST", "127.0.0.1"),
            "PORT": os.environ.get("DB_PORT", "5432"),
            "CONN_MAX_AGE": 60,  # each of the server's threads keeps one
        },
    }
