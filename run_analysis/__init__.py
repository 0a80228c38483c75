"""What the records say about runs: facts, faults, comparisons, advice and pictures. Needs no torch."""
