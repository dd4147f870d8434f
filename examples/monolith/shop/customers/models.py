"""Customers, who are users with a name and addresses."""

from django.conf import settings
from django.db import models


class CustomerQuerySet(models.QuerySet):
    def of(self, user):
        """The customer that a user is; from now on, where they were none."""
        given = {"name": user.get_full_name() or user.get_username(), "email": user.email}
        return self.get_or_create(user=user, defaults=given)[0]


class Customer(models.Model):
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.PROTECT, related_name="customer")
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CustomerQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]

    def __str__(self):
        return self.name


class Address(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="addresses")
    name = models.CharField(max_length=120)
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=12)
    city = models.CharField(max_length=80)

    class Meta:
        ordering = ["pk"]
        verbose_name_plural = "addresses"

    def __str__(self):
        return f"{self.name}, {self.street}, {self.postcode} {self.city}"
