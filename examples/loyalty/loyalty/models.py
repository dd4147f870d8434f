"""Points of guests, and what they were given for."""

from django.db import models, transaction
from django.db.models import F


class Account(models.Model):
    """The points of one guest."""

    guest = models.BigIntegerField(unique=True)
    points = models.IntegerField(default=0)

    class Meta:
        ordering = ["guest"]

    def __str__(self):
        return f"Guest {self.guest}: {self.points} points"

    @classmethod
    def credit(cls, guest, points, reason):
        """Give a guest points, or take some where there are fewer than 0, and note why."""
        with transaction.atomic():
            account, _ = cls.objects.get_or_create(guest=guest)
            cls.objects.filter(pk=account.pk).update(points=F("points") + points)
            account.entries.create(points=points, reason=reason)


class Entry(models.Model):
    """One change of an account."""

    account = models.ForeignKey(Account, on_delete=models.PROTECT, related_name="entries")
    points = models.IntegerField()
    reason = models.CharField(max_length=200)
    made_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "entries"

    def __str__(self):
        return f"{self.points:+} {self.reason}"
