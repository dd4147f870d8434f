"""How many of a product."""

from django import forms

from shop.cart.cart import MOST_OF_ONE


class QuantityForm(forms.Form):
    quantity = forms.IntegerField(min_value=0, max_value=MOST_OF_ONE)
