"""The child's side of the process boundary between a daemon and its work."""
