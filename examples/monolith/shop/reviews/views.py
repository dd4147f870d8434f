"""Reviewing a product."""

from django.contrib import messages
from django.shortcuts import get_object_or_404, redirect
from django.views.generic import ListView, View

from shop.catalogue.models import Product
from shop.customers.access import CustomerRequired
from shop.orders.models import OrderLine
from shop.reviews.forms import ReviewForm
from shop.reviews.models import Review


class SaveReview(CustomerRequired, View):
    """Whoever bought a product reviews it once; another review takes the place of the first."""

    def post(self, request, pk):
        product = get_object_or_404(Product.objects.on_sale(), pk=pk)
        form = ReviewForm(request.POST, instance=self.review_of(product))
        if not self.has_bought(product):
            messages.error(request, "Only customers who bought it review a product.")
        elif not form.is_valid():
            messages.error(request, "Give one to five stars.")
        else:
            form.save()
            messages.success(request, "Thank you for your review.")
        return redirect(product)

    def review_of(self, product):
        found = Review.objects.filter(product=product, customer=self.customer).first()
        return found or Review(product=product, customer=self.customer, author=self.customer.name)

    def has_bought(self, product):
        return OrderLine.objects.filter(product=product, order__customer=self.customer).exists()


class ReviewList(ListView):
    """All reviews of a product, in pages."""

    template_name = "reviews/review_list.html"
    paginate_by = 20

    def get_queryset(self):
        self.product = get_object_or_404(Product.objects.on_sale(), pk=self.kwargs["pk"])
        return self.product.reviews.published()

    def get_context_data(self, **kwargs):
        return super().get_context_data(product=self.product, **kwargs)
