"""The catalogue in the admin."""

from django.contrib import admin

from shop.catalogue.models import Category, Product


@admin.register(Category)
class CategoryAdmin(admin.ModelAdmin):
    prepopulated_fields = {"slug": ["name"]}


@admin.register(Product)
class ProductAdmin(admin.ModelAdmin):
    list_display = ["name", "category", "price", "stock", "on_sale"]
    list_editable = ["stock"]
    list_filter = ["on_sale", "category", "created_at"]
    list_select_related = ["category"]
    search_fields = ["name", "description", "category__name"]
    show_facets = admin.ShowFacets.NEVER
    actions = ["withdraw"]

    @admin.action(description="Take selected products off sale")
    def withdraw(self, request, queryset):
        count = queryset.update(on_sale=False)
        self.message_user(request, f"{count} taken off sale.")
