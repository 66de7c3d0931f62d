"""Benchmarks of what was made for speed, side by side in one run."""
