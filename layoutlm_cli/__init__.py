"""The command line: one thin module per command; it prints and never computes."""
