from django.apps import AppConfig


class ReviewsConfig(AppConfig):
    name = "tests.support.reviews"
    label = "reviews"
