"""Tests run on eight host devices, and JAX forgives nothing."""

import os

# Before jax is imported: it counts its devices once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"

from hypothesis import settings

# Shared machines stall now and then: no deadlines. Same examples in every run, so that
# a failure in CI is a failure here.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")
