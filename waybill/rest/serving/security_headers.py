"""What every answer says to browsers, whoever makes it: the parser of HTTP, the gateway or Django.

An answer is data: nothing in it may run, be framed, or be taken for another type. The page of the API's documentation
has a policy of its own.
"""

from typing import Final

CONTENT_SECURITY_POLICY: Final = b"Content-Security-Policy"
NOTHING_RUNS: Final = b"default-src 'none'; frame-ancestors 'none'"
DOCUMENTATION: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
YEAR_SECONDS: Final = 365 * 24 * 3600
SECURITY_HEADERS: Final = (
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Cross-Origin-Resource-Policy", b"same-origin"),
    (b"Strict-Transport-Security", b"max-age=%d; includeSubDomains" % YEAR_SECONDS),  # read over TLS only
)
