"""Customers in the admin."""

from django.contrib import admin

from shop.customers.models import Address, Customer


class AddressInline(admin.TabularInline):
    model = Address
    extra = 0


@admin.register(Customer)
class CustomerAdmin(admin.ModelAdmin):
    list_display = ["name", "email", "user", "created_at"]
    list_select_related = ["user"]
    list_filter = ["created_at"]
    search_fields = ["name", "email"]
    raw_id_fields = ["user"]
    show_facets = admin.ShowFacets.NEVER
    inlines = [AddressInline]
