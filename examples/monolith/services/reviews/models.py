"""Reviews; products and customers are other services'."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Review(models.Model):
    product_id = models.BigIntegerField()
    customer_id = models.BigIntegerField(db_index=True)
    author = models.CharField(max_length=120)
    stars = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(blank=True)
    published = models.BooleanField(default=True)
    created_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["product_id", "customer_id"], name="review_once")]
