"""What the staff sees."""

from django.contrib import admin, messages

from bookings import services
from bookings.models import Booking, Room


@admin.register(Room)
class RoomAdmin(admin.ModelAdmin):
    """Rooms can be added and renamed."""

    list_display = ["name", "beds"]
    search_fields = ["name"]


@admin.register(Booking)
class BookingAdmin(admin.ModelAdmin):
    """Bookings can be looked at, and cancelled."""

    list_display = ["pk", "room", "guest", "arrives", "leaves", "cancelled_at"]
    list_filter = ["room", ("cancelled_at", admin.EmptyFieldListFilter)]
    date_hierarchy = "arrives"
    actions = ["cancel"]

    def has_add_permission(self, request):
        """Guests make bookings."""
        return False

    def has_change_permission(self, request, obj=None):
        """A booking is moved by its guest."""
        return False

    def has_delete_permission(self, request, obj=None):
        """A booking is cancelled, never deleted."""
        return False

    @admin.action(description="Cancel the selected bookings", permissions=["view"])
    def cancel(self, request, queryset):
        """Cancel each; those that were cancelled before are left."""
        for booking in queryset:
            try:
                services.cancel_booking(booking)
            except services.NotPossible as error:
                self.message_user(request, f"{booking}: {error}", messages.WARNING)
