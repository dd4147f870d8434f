"""Orders and their lines; customers and products are other services'."""

from django.core.validators import MinValueValidator
from django.db import models


class Order(models.Model):
    customer_id = models.BigIntegerField(db_index=True)
    status = models.CharField(max_length=10, choices=[(one, one) for one in ("new", "shipped", "cancelled")])
    placed_at = models.DateTimeField(db_index=True)
    shipped_at = models.DateTimeField(null=True, blank=True)
    name = models.CharField(max_length=120)
    email = models.EmailField()
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=12)
    city = models.CharField(max_length=80)
    note = models.TextField(blank=True)
    total = models.DecimalField(max_digits=10, decimal_places=2)


class OrderLine(models.Model):
    order = models.ForeignKey(Order, models.CASCADE)
    product_id = models.BigIntegerField(db_index=True)
    name = models.CharField(max_length=120)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    quantity = models.PositiveIntegerField(validators=[MinValueValidator(1)])
