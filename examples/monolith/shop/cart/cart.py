"""A visitor's cart, in the session: product ids and quantities."""

from dataclasses import dataclass

from shop.catalogue.models import Product

MOST_OF_ONE = 99
MOST_PRODUCTS = 50


@dataclass(frozen=True)
class Item:
    """A product in the cart and how many of it."""

    product: Product
    quantity: int

    @property
    def total(self):
        return self.product.price * self.quantity

    @property
    def in_stock(self):
        return self.quantity <= self.product.stock


class Cart:
    def __init__(self, session):
        self.session = session
        self.quantities = session.get("cart", {})

    def __len__(self):
        return sum(self.quantities.values())

    def put(self, product, quantity):
        """Have so many of a product; 0 takes it out. Tell whether there was room for it."""
        quantities = {**self.quantities, str(product.pk): min(quantity, MOST_OF_ONE)}
        if len(quantities) > MOST_PRODUCTS:
            return False
        self._save({key: number for key, number in quantities.items() if number > 0})
        return True

    def add(self, product, quantity):
        return self.put(product, self.quantities.get(str(product.pk), 0) + quantity)

    def clear(self):
        self._save({})

    def items(self):
        """The products that are still on sale, in one query."""
        products = Product.objects.on_sale().filter(pk__in=[int(key) for key in self.quantities])
        return [Item(product, self.quantities[str(product.pk)]) for product in products]

    def _save(self, quantities):
        self.quantities = self.session["cart"] = quantities


def total(items):
    return sum(item.total for item in items)
