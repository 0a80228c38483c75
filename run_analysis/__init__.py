"""Reads and judges runs from their records: findings, comparisons, advice, reports. Imports no torch."""
