"""A checkpoint or a bundle applied to whole receipts: labels for words, entities, a picture of both."""
