"""A customer's review."""

from django import forms

from shop.reviews.models import Review


class ReviewForm(forms.ModelForm):
    class Meta:
        model = Review
        fields = ["stars", "text"]
        widgets = {
            "stars": forms.RadioSelect(choices=[(stars, "★" * stars) for stars in range(5, 0, -1)]),
            "text": forms.Textarea(attrs={"rows": 3}),
        }
