"""A bare django-ninja API beside the order service's: the same rows, and nothing else.

    POST /v1/orders      reads the prices, writes the row of the order: no token, no Idempotency-Key, no event, no log
    GET /v1/orders/{id}  answers a constant

In its best setting: the server, the threads and their kept connections are the web programs' own, without Django's
middleware. So what is measured is what an endpoint does, not how it is served.
"""

import os

import django
from django.conf import settings

from waybill.runtime.django_settings import database


def main() -> None:
    """Serve until told to stop; told by the environment where, with which database, and by how many threads."""
    settings.configure(
        DATABASES={"default": database(os.environ["WAYBILL_DATABASE_URL"])},
        INSTALLED_APPS=["order_service"],
        ROOT_URLCONF="benchmarks.peers.bare_views",
        USE_TZ=True,
        ALLOWED_HOSTS=["127.0.0.1"],
    )
    django.setup()
    from waybill.rest.serving.gateway import Gateway, Limits  # they read Django's settings
    from waybill.rest.serving.server import serve

    threads = int(os.environ["BARE_THREADS"])
    limits = Limits(threads=threads, queue=1_000, queue_seconds=10, body_bytes=100_000, rate=None)
    serve(Gateway(["127.0.0.1"], limits), "127.0.0.1", int(os.environ["WAYBILL_PORT"]))


if __name__ == "__main__":
    main()
