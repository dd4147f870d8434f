"""A service's settings are read when its program starts and where they are needed, and not when it is imported."""

import os
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from catalogue.configured import NOWHERE
from devstack.folder import CHECKOUT
from tests.support.services import SERVICES

WRONG = dict.fromkeys(
    (
        "WAYBILL_DATABASE_URL",
        "WAYBILL_ORDER_DEADLINE",
        "WAYBILL_ORDER_MAX_LINES",
        "WAYBILL_PRODUCT_MAX_PRICE",
        "WAYBILL_PROVIDER",
        "WAYBILL_SMTP_PORT",
    ),
    "wrong",
)
IMPORT_ALL = f"""
from importlib import import_module
from devstack.folder import CHECKOUT
from tests.support.services import SERVICES
from waybill.runtime.django_settings import configure_django
configure_django(SERVICES, {NOWHERE!r})
for service in SERVICES:
    for path in (CHECKOUT / service).glob("*.py"):
        import_module(f"{{service}}.{{path.stem}}")
"""


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    told = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    return subprocess.run(
        [sys.executable, *command],
        cwd=CHECKOUT,
        env=told | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_every_module_of_a_service_can_be_imported_whatever_the_environment_says():
    done = run("-c", IMPORT_ALL, **WRONG)
    assert done.returncode == 0, done.stderr


def test_a_program_ends_at_its_start_where_a_setting_of_its_service_is_malformed():
    told = {"WAYBILL_DATABASE_URL": NOWHERE, "WAYBILL_ORDER_MAX_LINES": "many"}
    done = run("-m", "waybill", "order_service", "rebuild", **told)
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("WAYBILL_ORDER_MAX_LINES: ")]
    assert "Traceback" not in done.stderr


def test_a_web_program_in_production_needs_the_names_that_clients_may_ask_for():
    done = run("-m", "waybill", "order_service", "web", WAYBILL_DATABASE_URL=NOWHERE)
    assert done.returncode == 1
    assert "WAYBILL_ALLOWED_HOSTS: in production web needs the names" in done.stdout


def test_a_name_that_is_no_host_ends_the_program_at_its_start():
    told = {"WAYBILL_DATABASE_URL": NOWHERE, "WAYBILL_ALLOWED_HOSTS": "api.example.com,https://shop.example.com"}
    done = run("-m", "waybill", "order_service", "web", **told)
    assert done.returncode == 1
    assert "WAYBILL_ALLOWED_HOSTS: 'https://shop.example.com' is no host name" in done.stdout


def test_a_malformed_key_is_named_by_its_place_and_not_shown():
    keys = f"{Fernet.generate_key().decode()},hunter2"
    done = run("-m", "waybill", "order_service", "web", WAYBILL_DATABASE_URL=NOWHERE, WAYBILL_ENCRYPTION_KEYS=keys)
    assert "WAYBILL_ENCRYPTION_KEYS: key 2 is no Fernet key" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize("service", SERVICES)
def test_django_finds_nothing_to_warn_of_in_production(service):
    told = {"WAYBILL_DATABASE_URL": NOWHERE, "WAYBILL_ALLOWED_HOSTS": "api.example.com"}
    told["WAYBILL_ENCRYPTION_KEYS"] = Fernet.generate_key().decode()
    done = run("-m", "waybill", service, "manage", "check", "--deploy", "--fail-level", "WARNING", **told)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
