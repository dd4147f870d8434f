"""The page of a guest's points."""

from django.views.generic import DetailView

from loyalty.models import Account


class AccountPage(DetailView):
    """The points of one guest, and what they were given for."""

    queryset = Account.objects.prefetch_related("entries")
    slug_field = slug_url_kwarg = "guest"
