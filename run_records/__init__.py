"""The documents and storage of a run, and the child's side of the process boundary."""
