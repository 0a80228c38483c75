"""Synthetic receipts with all core labels, for tests and demonstrations without private data."""

from receipt_layoutlm.data.synthetic.generator import SyntheticReceipt, generate, make_receipt

__all__ = ["SyntheticReceipt", "generate", "make_receipt"]
