"""What Envoy is told, and Envoy itself."""
