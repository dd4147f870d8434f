"""Django's settings of the web program, beside those that every program has."""

from collections.abc import Sequence
from typing import Any, Final

from waybill.secret_settings import Masked

POLICY: Final = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
}


def project(*, hosts: Sequence[str], secret_key: str, hours: float, secure: bool) -> dict[str, Any]:
    """Return the settings; `secure`: cookies go over TLS alone, and to this host alone."""
    prefix = "__Host-" if secure else ""
    return {
        "CONTENT_SECURITY_POLICY": {"DIRECTIVES": POLICY},
        "CSRF_COOKIE_HTTPONLY": True,
        "CSRF_COOKIE_NAME": f"{prefix}console-csrf",
        "CSRF_COOKIE_SAMESITE": "Lax",
        "CSRF_COOKIE_SECURE": secure,
        "CSRF_FAILURE_VIEW": "console_service.web.page.forged",
        # TLS ends before us: what a browser calls https:// is http:// here.
        "CSRF_TRUSTED_ORIGINS": [f"https://{'*' if host[0] == '.' else ''}{host}" for host in hosts if host != "*"],
        "INSTALLED_APPS": [
            "django_outbox_pattern",
            "waybill.outbox",
            "waybill.inbox",
            "waybill.tasks",
            "waybill.rest",
            "console_service",
        ],
        "MIDDLEWARE": [
            "console_service.web.requests.request_context",
            "csp.middleware.CSPMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django_htmx.middleware.HtmxMiddleware",
            "console_service.web.access.SignedIn",
        ],
        "ROOT_URLCONF": "console_service.urls",
        "SECRET_KEY": Masked(secret_key),
        "SESSION_COOKIE_AGE": int(hours * 3600),
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_NAME": f"{prefix}console",
        "SESSION_COOKIE_SAMESITE": "Lax",  # a link from a colleague's message finds one signed in
        "SESSION_COOKIE_SECURE": secure,
        "SESSION_ENGINE": "console_service.sign_in.sessions",
        "TEMPLATES": [
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "builtins": ["console_service.web.tags"],
                    "context_processors": ["console_service.web.page.everywhere"],
                },
            }
        ],
    }
