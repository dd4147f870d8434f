import uuid

from django.core.validators import MinValueValidator
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)
    born = models.DateField(null=True, blank=True)

    class Meta:
        app_label = "library"


class Tag(models.Model):
    name = models.CharField(max_length=20, unique=True)

    class Meta:
        app_label = "library"


class Book(models.Model):
    title = models.CharField(max_length=50, unique=True)
    author = models.ForeignKey(Author, models.CASCADE)
    tags = models.ManyToManyField(Tag)
    pages = models.IntegerField(default=1, validators=[MinValueValidator(1)])
    price = models.DecimalField(max_digits=8, decimal_places=2, default=0)
    published_at = models.DateTimeField(null=True, blank=True)
    in_print = models.BooleanField(default=True)
    notes = models.TextField(null=True, blank=True)

    class Meta:
        app_label = "library"


class Copy(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    book = models.ForeignKey(Book, models.PROTECT)
    shelf = models.CharField(max_length=10, default="", blank=True)

    class Meta:
        app_label = "library"
