"""Checkout, and a customer's own orders."""

from functools import cached_property

from django.contrib import messages
from django.http import HttpResponseRedirect
from django.shortcuts import redirect
from django.views.generic import DetailView, FormView, ListView, View
from django.views.generic.detail import SingleObjectMixin

from shop.cart.cart import Cart, total
from shop.customers.access import CustomerRequired
from shop.orders import mails, services
from shop.orders.forms import CheckoutForm


class Checkout(CustomerRequired, FormView):
    """Make an order of the cart."""

    form_class = CheckoutForm
    template_name = "orders/checkout.html"

    @cached_property
    def items(self):
        return Cart(self.request.session).items()

    def get(self, request, *args, **kwargs):
        if not self.items:
            messages.info(request, "The cart is empty.")
            return redirect("cart")
        return super().get(request, *args, **kwargs)

    def get_initial(self):
        initial = {"name": self.customer.name, "email": self.customer.email}
        if address := self.customer.addresses.first():
            initial |= {"name": address.name, "street": address.street}
            initial |= {"postcode": address.postcode, "city": address.city}
        return initial

    def get_context_data(self, **kwargs):
        return super().get_context_data(items=self.items, total=total(self.items), **kwargs)

    def form_valid(self, form):
        try:
            order = services.place(self.customer, self.items, **form.cleaned_data)
        except services.NotPossible as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        Cart(self.request.session).clear()
        mails.confirm(order)
        messages.success(self.request, f"Thank you! This is your order {order.pk}.")
        return HttpResponseRedirect(order.get_absolute_url())


class OwnOrders(CustomerRequired):
    """A customer sees their own orders, and nobody else's."""

    def get_queryset(self):
        return self.customer.orders.all()


class OrderList(OwnOrders, ListView):
    paginate_by = 10


class OrderDetail(OwnOrders, DetailView):
    def get_context_data(self, **kwargs):
        return super().get_context_data(lines=self.object.lines.all(), **kwargs)


class CancelOrder(OwnOrders, SingleObjectMixin, View):
    def post(self, request, *args, **kwargs):
        order = self.get_object()
        try:
            services.cancel(order)
            messages.success(request, "The order is cancelled.")
        except services.NotPossible as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(order.get_absolute_url())
