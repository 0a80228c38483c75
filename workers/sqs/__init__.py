"""Queues: their definitions, messages, attributes, depths and dead letters."""
