"""Detects faults of a run from its metrics: each finding with its numbers and a remedy."""
