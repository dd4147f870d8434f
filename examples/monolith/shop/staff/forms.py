"""What the staff fills in."""

from datetime import timedelta

from django import forms
from django.utils import timezone

from shop.catalogue.models import Category, Product

LONGEST_DAYS = 366
USUAL_DAYS = 30


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = ["name", "category", "description", "price", "stock", "on_sale"]


class CategoryForm(forms.ModelForm):
    class Meta:
        model = Category
        fields = ["name", "slug"]


class DateInput(forms.DateInput):
    input_type = "date"


class PeriodForm(forms.Form):
    """The days of a report, both ends included."""

    first = forms.DateField(widget=DateInput)
    last = forms.DateField(widget=DateInput)

    @staticmethod
    def usual():
        today = timezone.localdate()
        return {"first": today - timedelta(days=USUAL_DAYS - 1), "last": today}

    def clean(self):
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and not timedelta(0) <= last - first < timedelta(days=LONGEST_DAYS):
            raise forms.ValidationError(f"Choose a period of 1 to {LONGEST_DAYS} days.")
        return self.cleaned_data
