"""Measurements that docs/results prints: ``python -m benchmarks NAME``; every file with a ``main`` is one."""
