"""Serve Django models by the collection contract (docs/collection-contract.md).

    # urls.py
    from waybill.rest.collections import Collection, serve

    urlpatterns = [path("v1/", serve(Collection(Review, "reviews", may=bearer("reviews:read", "reviews:write"))))]

`may` is asked before anything else is done; `anybody` lets every caller do everything. `reads` makes endpoints of a
service's API instead, for rows that follow from events and that commands change.
"""

from waybill.rest.collections.access import Action, anybody, bearer
from waybill.rest.collections.collection import Collection
from waybill.rest.collections.endpoints import reads
from waybill.rest.collections.serving import serve

__all__ = ["Action", "Collection", "anybody", "bearer", "reads", "serve"]
