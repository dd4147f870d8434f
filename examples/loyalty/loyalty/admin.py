"""What the staff sees."""

from django.contrib import admin

from loyalty.models import Account, Entry


class EntryInline(admin.TabularInline):
    """What an account was changed by."""

    model = Entry
    extra = 0
    readonly_fields = ["points", "reason", "made_at"]
    can_delete = False


@admin.register(Account)
class AccountAdmin(admin.ModelAdmin):
    """Accounts, with their entries."""

    list_display = ["guest", "points"]
    inlines = [EntryInline]
