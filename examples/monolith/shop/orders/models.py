"""Orders and their lines."""

from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse
from django.utils import timezone

from shop.catalogue.models import Product
from shop.customers.models import Customer


class Order(models.Model):
    class Status(models.TextChoices):
        NEW = "new", "new"
        SHIPPED = "shipped", "shipped"
        CANCELLED = "cancelled", "cancelled"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="orders")
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.NEW)
    placed_at = models.DateTimeField(default=timezone.now, db_index=True, editable=False)
    shipped_at = models.DateTimeField(null=True, blank=True, editable=False)
    name = models.CharField(max_length=120)
    email = models.EmailField()
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=12)
    city = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    total = models.DecimalField(max_digits=10, decimal_places=2, default=0, editable=False)

    class Meta:
        ordering = ["-placed_at", "-pk"]

    def __str__(self):
        return f"Order {self.pk}"

    def get_absolute_url(self):
        return reverse("order", args=[self.pk])

    def move(self, status, **values):
        """Give a new order its end, and tell whether it was still new."""
        moved = Order.objects.filter(pk=self.pk, status=Order.Status.NEW).update(status=status, **values)
        if moved:
            self.status = status
        return bool(moved)


class OrderLine(models.Model):
    """What was ordered, with the name and price of that day."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, models.PROTECT, related_name="order_lines")
    name = models.CharField(max_length=120, editable=False)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    quantity = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1)])

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"{self.quantity} x {self.name}"

    @property
    def total(self):
        return self.price * self.quantity
