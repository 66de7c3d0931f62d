"""Runs of several real processes, killed and stopped; run by `make test-faults`."""
