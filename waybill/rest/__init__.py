"""What every REST interface has in common: problem details, idempotency, bearer tokens, requests."""
