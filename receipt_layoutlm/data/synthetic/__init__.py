"""Receipts that never were, with all core labels, for tests and demonstrations that need no one's data."""

from receipt_layoutlm.data.synthetic.generator import SyntheticReceipt, generate, make_receipt

__all__ = ["SyntheticReceipt", "generate", "make_receipt"]
