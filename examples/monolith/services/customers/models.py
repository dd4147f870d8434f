"""Customers and their addresses; the users that they log in as are the shop's."""

from django.db import models


class Customer(models.Model):
    user_id = models.BigIntegerField(unique=True)
    name = models.CharField(max_length=120)
    email = models.EmailField(blank=True)
    phone = models.CharField(max_length=40, blank=True)
    created_at = models.DateTimeField()


class Address(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE)
    name = models.CharField(max_length=120)
    street = models.CharField(max_length=120)
    postcode = models.CharField(max_length=12)
    city = models.CharField(max_length=80)
