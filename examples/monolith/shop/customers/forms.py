"""What customers tell of themselves."""

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.contrib.auth.models import User
from django.db import transaction

from shop.customers.models import Address, Customer


class SignUpForm(UserCreationForm):
    name = forms.CharField(max_length=120)
    email = forms.EmailField()

    class Meta:
        model = User
        fields = ["username", "name", "email"]

    @transaction.atomic
    def save(self, commit=True):
        user = super().save(commit=commit)
        if commit:
            Customer.objects.create(user=user, name=self.cleaned_data["name"], email=self.cleaned_data["email"])
        return user


class ProfileForm(forms.ModelForm):
    email = forms.EmailField()

    class Meta:
        model = Customer
        fields = ["name", "email", "phone"]


class AddressForm(forms.ModelForm):
    class Meta:
        model = Address
        fields = ["name", "street", "postcode", "city"]
