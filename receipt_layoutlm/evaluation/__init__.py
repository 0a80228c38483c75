"""Predictions and scores of a model on receipts, computed the same way during training and afterwards."""
