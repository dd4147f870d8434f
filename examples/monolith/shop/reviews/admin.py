"""Reviews in the admin."""

from django.contrib import admin

from shop.reviews.models import Review


@admin.register(Review)
class ReviewAdmin(admin.ModelAdmin):
    list_display = ["product", "author", "stars", "published", "created_at"]
    list_filter = ["published", "stars"]
    list_select_related = ["product"]
    search_fields = ["text", "author", "product__name"]
    raw_id_fields = ["product", "customer"]
    show_facets = admin.ShowFacets.NEVER
    actions = ["hide"]

    @admin.action(description="Hide selected reviews")
    def hide(self, request, queryset):
        self.message_user(request, f"{queryset.update(published=False)} hidden.")
