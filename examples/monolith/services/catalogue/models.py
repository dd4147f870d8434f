"""Categories and products."""

from django.core.validators import MinValueValidator
from django.db import models


class Category(models.Model):
    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(unique=True)


class Product(models.Model):
    category = models.ForeignKey(Category, models.SET_NULL, null=True, blank=True)
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    stock = models.PositiveIntegerField(default=0)
    on_sale = models.BooleanField(default=True)
    created_at = models.DateTimeField()
