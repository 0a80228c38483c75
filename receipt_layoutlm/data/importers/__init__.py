"""Public data sets of labelled receipts, brought into the draft form."""
