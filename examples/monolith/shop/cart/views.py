"""The cart's page, and what changes the cart."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import TemplateView, View

from shop.cart.cart import Cart, total
from shop.cart.forms import QuantityForm
from shop.catalogue.models import Product


class CartPage(TemplateView):
    template_name = "cart/cart.html"

    def get_context_data(self, **kwargs):
        items = Cart(self.request.session).items()
        return super().get_context_data(items=items, total=total(items), **kwargs)


class ChangeCart(View):
    """Put a number of a product into the cart; subclasses say what becomes of what is there already."""

    def post(self, request, pk):
        product = get_object_or_404(Product.objects.on_sale(), pk=pk)
        form = QuantityForm(request.POST)
        if not form.is_valid():
            messages.error(request, "Give a quantity from 0 to 99.")
        elif not self.change(Cart(request.session), product, form.cleaned_data["quantity"]):
            messages.error(request, "The cart is full.")
        return redirect("cart")


class AddToCart(ChangeCart):
    def change(self, cart, product, quantity):
        return cart.add(product, quantity)


class SetQuantity(ChangeCart):
    def change(self, cart, product, quantity):
        return cart.put(product, quantity)
