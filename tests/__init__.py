"""The tests of all packages, from unit tests to real processes and a real boot."""
