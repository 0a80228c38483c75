"""A deterministic simulation of workers, queue and table, under faults, in virtual time."""
