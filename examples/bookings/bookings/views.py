"""The guests' pages."""

from django.contrib import messages
from django.contrib.auth.mixins import LoginRequiredMixin
from django.http import HttpResponseRedirect
from django.views.generic import CreateView, DetailView, ListView, UpdateView, View
from django.views.generic.detail import SingleObjectMixin

from bookings import services
from bookings.forms import BookingForm, MoveForm
from bookings.models import Booking, Room


class Rooms(ListView):
    """All rooms."""

    model = Room


class OwnBookings(LoginRequiredMixin):
    """The bookings that the guest may see: their own."""

    def get_queryset(self):
        """Leave out those of others."""
        return Booking.objects.filter(guest=self.request.user).select_related("room")


class Bookings(OwnBookings, ListView):
    """The guest's bookings."""


class BookingPage(OwnBookings, DetailView):
    """One booking."""


class MakeBooking(LoginRequiredMixin, CreateView):
    """Book a room."""

    model = Booking
    form_class = BookingForm

    def form_valid(self, form):
        """Make the booking, or say why not."""
        try:
            self.object = services.make_booking(guest=self.request.user, **form.cleaned_data)
        except services.NotPossible as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        messages.success(self.request, f"Booked: {self.object}.")
        return HttpResponseRedirect(self.get_success_url())


class MoveBooking(OwnBookings, UpdateView):
    """Give a booking other nights."""

    form_class = MoveForm

    def form_valid(self, form):
        """Move the booking, or say why not."""
        try:
            services.move_booking(Booking.objects.get(pk=self.object.pk), **form.cleaned_data)
        except services.NotPossible as error:
            form.add_error(None, str(error))
            return self.form_invalid(form)
        return HttpResponseRedirect(self.get_success_url())


class CancelBooking(OwnBookings, SingleObjectMixin, View):
    """Cancel a booking."""

    def post(self, request, *args, **kwargs):
        """Cancel it, or say why not."""
        booking = self.get_object()
        try:
            services.cancel_booking(booking)
        except services.NotPossible as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(booking.get_absolute_url())
