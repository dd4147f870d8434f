"""PostgreSQL beside services: its models and theirs may refer to each other.

    DATABASES = {
        "default": {"ENGINE": "waybill.rest_backend.postgresql", "NAME": "site"},
        "reviews": {"ENGINE": "waybill.rest_backend", "NAME": "https://reviews.example/v1", ...},
    }

Django's own backend, but for three things: a query of a service's model goes to the service (a Collector asks for
related rows where the row is that it deletes); a read that joins a service's models is made of one read for each
table, as it is for services; and no foreign key of the database's points to a table that is not there.
"""
