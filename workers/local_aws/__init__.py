"""AWS on this machine, for development, tests and the demonstration."""
