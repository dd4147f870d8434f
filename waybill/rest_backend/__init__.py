"""A Django database backend whose tables are collections of services (docs/reference/rest-backend.md).

    DATABASES = {
        "default": {...},
        "reviews": {
            "ENGINE": "waybill.rest_backend",
            "NAME": "https://reviews.example/v1",
            "OPTIONS": {"models": ["reviews"], "token": "site.tokens.service_token"},
        },
    }
    DATABASE_ROUTERS = ["waybill.rest_backend.router.ServiceRouter"]

Django builds its queries as ever. The compiler turns a query into a request that knows nothing of HTTP (`request`), or
raises NotSupportedError before any call; an adapter (`adapter`) says it in the collection contract; `service` makes the
call, and turns whatever comes back into rows or into an exception of `django.db`.
"""
