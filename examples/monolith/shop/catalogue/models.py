"""Categories and the products in them."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse


class Category(models.Model):
    name = models.CharField(max_length=80, unique=True)
    slug = models.SlugField(unique=True)

    class Meta:
        ordering = ["name"]
        verbose_name_plural = "categories"

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("category", args=[self.slug])


class ProductQuerySet(models.QuerySet):
    def on_sale(self):
        return self.filter(on_sale=True)

    def search(self, text):
        """Find a text in names and descriptions; all products where there is none."""
        return self.filter(Q(name__icontains=text) | Q(description__icontains=text)) if text else self


class Product(models.Model):
    category = models.ForeignKey(Category, models.SET_NULL, null=True, blank=True, related_name="products")
    name = models.CharField(max_length=120)
    description = models.TextField(blank=True)
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(0)])
    stock = models.PositiveIntegerField(default=0)
    on_sale = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["name", "pk"]
        constraints = [models.CheckConstraint(condition=Q(price__gte=0), name="product_price_not_negative")]

    def __str__(self):
        return self.name

    def get_absolute_url(self):
        return reverse("product", args=[self.pk])

    def change_stock(self, by):
        """Add to the stock or take from it, and tell whether there was enough, whoever else is buying."""
        while (left := self.stock + by) >= 0:
            if Product.objects.filter(pk=self.pk, stock=self.stock).update(stock=left):
                self.stock = left
                return True
            self.refresh_from_db(fields=["stock"])
        return False
