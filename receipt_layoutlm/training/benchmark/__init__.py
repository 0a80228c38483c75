"""The benchmark of training speed: its rungs, data and model."""
