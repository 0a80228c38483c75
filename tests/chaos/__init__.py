"""Real worker processes, crashed, frozen, cut off and delivered to twice."""
