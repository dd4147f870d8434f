"""Traces: spans of what the programs do for one request, through every event that it leads to, sent by OTLP."""
