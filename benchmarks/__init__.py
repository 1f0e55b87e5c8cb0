"""Measurements: `python -m benchmarks.NAME [--quick] [--out FILE]`.

Every module compares within one run, by medians of interleaved repetitions, prints a table and, last, a JSON line, and ends with 1 when a target
is missed. Reports of full runs, with command, machine and versions, are in `results/`.
"""
