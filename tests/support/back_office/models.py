from django.db import models


class Order(models.Model):
    order_id = models.UUIDField(primary_key=True)
    customer_id = models.CharField(max_length=255)
    status = models.CharField(max_length=20)
    lines = models.JSONField()
    total = models.BigIntegerField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "back_office"
        db_table = "orders"


class OfAnOrder(models.Model):
    """A row of another service about one order."""

    order = models.OneToOneField(Order, models.DO_NOTHING, primary_key=True, db_constraint=False)
    created_at = models.DateTimeField()

    class Meta:
        abstract = True


class Payment(OfAnOrder):
    status = models.CharField(max_length=20)
    amount = models.BigIntegerField()

    class Meta:
        app_label = "back_office"
        db_table = "payments"


class Reservation(OfAnOrder):
    status = models.CharField(max_length=20)

    class Meta:
        app_label = "back_office"
        db_table = "reservations"


class Notification(OfAnOrder):
    notices = models.JSONField()

    class Meta:
        app_label = "back_office"
        db_table = "notifications"


class Product(models.Model):
    sku = models.CharField(max_length=64, primary_key=True)
    name = models.CharField(max_length=200)
    unit_price = models.BigIntegerField()
    on_hand = models.BigIntegerField()

    class Meta:
        app_label = "back_office"
        db_table = "products"
