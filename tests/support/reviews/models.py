from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class Review(models.Model):
    id = models.BigAutoField(primary_key=True)
    product_id = models.BigIntegerField()
    customer_id = models.BigIntegerField()
    order_id = models.BigIntegerField(null=True, blank=True)
    author = models.CharField(max_length=120)
    stars = models.PositiveSmallIntegerField(validators=[MinValueValidator(1), MaxValueValidator(5)])
    text = models.TextField(blank=True)
    published = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        app_label = "reviews"
        db_table = "reviews"
