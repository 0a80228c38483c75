"""Compares runs and groups of runs: their differences, and whether these are significant."""
