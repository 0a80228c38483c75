"""One way from a model and receipts to predictions and scores, used while training and afterwards alike."""
