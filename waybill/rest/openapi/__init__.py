"""What an API says of itself: decorators of endpoints, the OpenAPI document, pages on error codes."""
