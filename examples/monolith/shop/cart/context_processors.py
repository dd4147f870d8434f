"""How much is in the cart, for every page."""

from shop.cart.cart import Cart


def cart(request):
    return {"cart_size": len(Cart(request.session))}
