"""The gateway in tests: golden files, an Envoy, and backends that do as they are told."""
