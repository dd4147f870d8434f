"""The staff's page of reviews."""

from django.shortcuts import get_object_or_404, redirect
from django.views.generic import ListView, View

from shop.reviews.models import Review
from shop.staff.access import StaffRequired


class ReviewList(StaffRequired, ListView):
    queryset = Review.objects.select_related("product")
    paginate_by = 20
    template_name = "staff/review_list.html"


class PublishReview(StaffRequired, View):
    """Hide a review, or show it again."""

    def post(self, request, pk):
        review = get_object_or_404(Review, pk=pk)
        review.published = not review.published
        review.save(update_fields=["published"])
        return redirect("staff-reviews")
