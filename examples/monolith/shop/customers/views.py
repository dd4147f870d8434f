"""A customer's own pages."""

from django.contrib import messages
from django.contrib.auth import login
from django.shortcuts import redirect
from django.urls import reverse_lazy
from django.views.generic import CreateView, DeleteView, FormView, UpdateView

from shop.customers.access import CustomerRequired
from shop.customers.forms import AddressForm, ProfileForm, SignUpForm


class SignUp(FormView):
    """Open an account, and be logged in."""

    form_class = SignUpForm
    template_name = "customers/sign_up.html"

    def form_valid(self, form):
        login(self.request, form.save())
        messages.success(self.request, "Welcome!")
        return redirect("products")


class Profile(CustomerRequired, UpdateView):
    """Name, mail address and the addresses to deliver to."""

    form_class = ProfileForm
    template_name = "customers/profile.html"
    success_url = reverse_lazy("profile")

    def get_object(self):
        return self.customer

    def get_context_data(self, **kwargs):
        return super().get_context_data(addresses=self.customer.addresses.all(), **kwargs)

    def form_valid(self, form):
        messages.success(self.request, "Saved.")
        return super().form_valid(form)


class OwnAddresses(CustomerRequired):
    """A customer changes their own addresses, and nobody else's."""

    success_url = reverse_lazy("profile")

    def get_queryset(self):
        return self.customer.addresses.all()


class AddAddress(OwnAddresses, CreateView):
    form_class = AddressForm
    template_name = "customers/address_form.html"

    def form_valid(self, form):
        form.instance.customer = self.customer
        return super().form_valid(form)


class ChangeAddress(OwnAddresses, UpdateView):
    form_class = AddressForm
    template_name = "customers/address_form.html"


class DeleteAddress(OwnAddresses, DeleteView):
    template_name = "customers/address_confirm_delete.html"
