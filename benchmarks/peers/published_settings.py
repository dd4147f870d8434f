"""Django settings for django-outbox-pattern's own `publish` command, with a Kafka connection where it has STOMP."""

import os
from typing import Any
from urllib.parse import urlsplit

_url = urlsplit(os.environ["OUTBOX_URL"])
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": _url.hostname,
        "PORT": _url.port,
        "NAME": _url.path[1:],
        "USER": _url.username,
        "PASSWORD": _url.password,
    }
}
INSTALLED_APPS = ["django_outbox_pattern"]
USE_TZ = True
SECRET_KEY = "no web here"
LOGGING_CONFIG = None
# The best of chunks of 200 (its default), 2,000 and 20,000 rows; of waiting 0 and 1 s between looks (whole seconds).
DJANGO_OUTBOX_PATTERN: dict[str, Any] = {
    "DEFAULT_CONNECTION_CLASS": "benchmarks.peers.kafka_connection.KafkaConnection",
    "DEFAULT_PUBLISHED_CHUNK_SIZE": int(os.environ.get("PUBLISHED_CHUNK", "2000")),
    "DEFAULT_PRODUCER_WAITING_TIME": 1,
}
