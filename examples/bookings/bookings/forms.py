"""What a guest fills in."""

from django import forms

from bookings.models import Booking


class DateInput(forms.DateInput):
    """A date with the browser's own picker."""

    input_type = "date"


class BookingForm(forms.ModelForm):
    """A new booking."""

    class Meta:
        model = Booking
        fields = ["room", "arrives", "leaves", "guests"]
        widgets = {"arrives": DateInput, "leaves": DateInput}


class MoveForm(forms.ModelForm):
    """Other nights for a booking."""

    class Meta:
        model = Booking
        fields = ["arrives", "leaves"]
        widgets = {"arrives": DateInput, "leaves": DateInput}
