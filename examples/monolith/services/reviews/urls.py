"""Reviews by the collection contract."""

from access import shop_only
from django.urls import path

from reviews.models import Review
from waybill.rest.collections import Collection, serve

urlpatterns = [path("v1/", serve(Collection(Review, "reviews", may=shop_only)))]
