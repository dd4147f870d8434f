"""Where an order goes."""

from django import forms

from shop.orders.models import Order


class CheckoutForm(forms.ModelForm):
    class Meta:
        model = Order
        fields = ["name", "email", "street", "postcode", "city", "note"]
        widgets = {"note": forms.Textarea(attrs={"rows": 3})}
