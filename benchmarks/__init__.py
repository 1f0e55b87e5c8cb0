"""Measurements: `python -m benchmarks.NAME [--quick] [--out FILE]`.

Every module compares within one run, by medians of interleaved repetitions. It prints a table and, last, a
JSON line, and exits with 1 when a target is missed. `results/` holds reports of full runs, with command,
machine and versions.
"""
