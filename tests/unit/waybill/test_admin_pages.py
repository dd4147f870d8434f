"""No admin page has a form that changes a dead letter, in whatever sequence a project names its apps."""

import subprocess
import sys

import pytest

from devstack.folder import CHECKOUT

LIBRARY = ["waybill.outbox", "waybill.inbox", "waybill.tasks"]
PATTERN = ["django_outbox_pattern"]
SHOW = """
import django
from django.conf import settings
settings.configure(INSTALLED_APPS=[*(f"django.contrib.{{n}}" for n in ("admin", "auth", "contenttypes")), *{apps}])
django.setup()
from django.contrib import admin
NAMES = ("add", "change", "delete")
admin.autodiscover()
for model, page in sorted(admin.site._registry.items(), key=lambda item: item[0].__name__):
    if model._meta.app_label not in ("auth", "admin"):
        print(model.__name__, *(getattr(page, f"has_{{what}}_permission")(None) for what in NAMES))
"""
PAGES = ["DueTask", "OperatorAction", "OutboxEvent", "Published", "Received"]


@pytest.mark.parametrize("apps", [[*PATTERN, *LIBRARY], [*LIBRARY, *PATTERN]])
def test_every_page_is_there_and_writes_nothing(apps: list[str]):
    command = [sys.executable, "-c", SHOW.format(apps=apps)]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{page} False False False" for page in PAGES]
