"""Hyperparameter sweeps: trials are proposed here, trained by workers, and scored when they end."""
