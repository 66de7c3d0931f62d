"""Ahead-of-time compilation for TPUs, without a TPU: memory, time and cost of a run."""
