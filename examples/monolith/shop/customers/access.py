"""Pages for customers."""

from functools import cached_property

from django.contrib.auth.mixins import LoginRequiredMixin

from shop.customers.models import Customer


class CustomerRequired(LoginRequiredMixin):
    """Ask visitors to log in; the view finds the customer in `self.customer`."""

    @cached_property
    def customer(self):
        return Customer.objects.of(self.request.user)
