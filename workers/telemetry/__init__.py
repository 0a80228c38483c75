"""Logs, metrics, spans and the status of a worker."""
