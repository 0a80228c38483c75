"""Runs beside each other, and groups of them: what differs, and whether it can be told from chance."""
