"""Sweeps: runs over a space of settings, proposed here, trained by the fleet, learned from when they end."""
