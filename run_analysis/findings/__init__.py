"""What went wrong in a run, told from its metrics: each fault with its numbers, and what to do about it."""
