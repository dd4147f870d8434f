"""A Django app whose models a service of the collection contract has: books, their authors and tags."""

ALIAS = "library"
