"""Benchmarks: results as ratios, measured in alternating pairs within one process."""
