"""Orders in the admin."""

from django.contrib import admin, messages

from shop.orders import services
from shop.orders.models import Order, OrderLine


class LineInline(admin.TabularInline):
    model = OrderLine
    extra = 0
    raw_id_fields = ["product"]


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    list_display = ["__str__", "customer", "status", "total", "placed_at"]
    list_filter = ["status", "placed_at"]
    list_select_related = ["customer"]
    search_fields = ["name", "email", "city", "customer__name"]
    raw_id_fields = ["customer"]
    readonly_fields = ["status", "total", "placed_at", "shipped_at"]
    show_facets = admin.ShowFacets.NEVER
    inlines = [LineInline]
    actions = ["ship", "cancel"]

    @admin.action(description="Ship selected orders")
    def ship(self, request, queryset):
        self._each(request, queryset, services.ship, "shipped")

    @admin.action(description="Cancel selected orders")
    def cancel(self, request, queryset):
        self._each(request, queryset, services.cancel, "cancelled")

    def save_formset(self, request, form, formset, change):
        for line in formset.save(commit=False):
            line.name = line.name or line.product.name
            line.save()
        for line in formset.deleted_objects:
            line.delete()

    def save_related(self, request, form, formsets, change):
        super().save_related(request, form, formsets, change)
        order = form.instance
        order.total = sum(line.total for line in order.lines.all())
        order.save(update_fields=["total"])

    def _each(self, request, queryset, do, done):
        count = 0
        for order in queryset:
            try:
                do(order)
                count += 1
            except services.NotPossible as error:
                self.message_user(request, str(error), messages.ERROR)
        if count:
            self.message_user(request, f"{count} {done}.")
