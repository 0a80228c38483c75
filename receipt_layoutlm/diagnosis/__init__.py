"""Diagnoses a model's errors: each misread receipt and word, and the failure modes that they show."""
