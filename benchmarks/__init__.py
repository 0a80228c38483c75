"""Measurements that docs/benchmarks.md dates; off in the tests, started by `make bench`."""
