from django.apps import AppConfig


class BackOfficeConfig(AppConfig):
    name = "tests.support.back_office"
    label = "back_office"
