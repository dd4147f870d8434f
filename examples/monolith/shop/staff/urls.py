"""Addresses of the staff's pages."""

from django.urls import path
from django.views.generic import RedirectView

from shop.staff import catalogue, orders, report, reviews

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="staff-orders"), name="staff"),
    path("orders/", orders.OrderList.as_view(), name="staff-orders"),
    path("orders/<int:pk>/", orders.OrderDetail.as_view(), name="staff-order"),
    path("orders/<int:pk>/ship/", orders.ShipOrder.as_view(), name="staff-ship-order"),
    path("orders/<int:pk>/cancel/", orders.CancelOrder.as_view(), name="staff-cancel-order"),
    path("products/", catalogue.ProductList.as_view(), name="staff-products"),
    path("products/new/", catalogue.CreateProduct.as_view(), name="staff-create-product"),
    path("products/<int:pk>/", catalogue.UpdateProduct.as_view(), name="staff-product"),
    path("products/<int:pk>/delete/", catalogue.DeleteProduct.as_view(), name="staff-delete-product"),
    path("categories/", catalogue.CategoryList.as_view(), name="staff-categories"),
    path("categories/new/", catalogue.CreateCategory.as_view(), name="staff-create-category"),
    path("categories/<int:pk>/", catalogue.UpdateCategory.as_view(), name="staff-category"),
    path("categories/<int:pk>/delete/", catalogue.DeleteCategory.as_view(), name="staff-delete-category"),
    path("reviews/", reviews.ReviewList.as_view(), name="staff-reviews"),
    path("reviews/<int:pk>/publish/", reviews.PublishReview.as_view(), name="staff-publish-review"),
    path("report/", report.Report.as_view(), name="staff-report"),
]
