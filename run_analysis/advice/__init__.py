"""Proposes the next run and its expected score: each change with its reason and its evidence."""
