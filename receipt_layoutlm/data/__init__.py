"""Data of training: sources of receipts, their snapshot and split, windows, encoded examples."""
