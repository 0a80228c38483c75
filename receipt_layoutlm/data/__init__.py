"""Receipts to windows to encoded examples; their split, their snapshot and where they come from."""
