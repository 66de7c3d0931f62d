"""Tests run on eight host devices, and JAX forgives nothing."""

import atexit
import gc
import os
import shutil
import tempfile
from pathlib import Path

from sparsetx.system.cpu import vectors

# Tests run side by side on few cores: threads of one would only wait for another's.
os.environ["OPENBLAS_NUM_THREADS"] = "1"
# Before jax is imported: it counts its devices once.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["JAX_NUMPY_RANK_PROMOTION"] = "raise"
# Hundreds of small programs that run once: compile them quickly rather than well.
os.environ["XLA_FLAGS"] = " ".join(
    [
        os.environ.get("XLA_FLAGS", ""),
        "--xla_backend_optimization_level=0",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_use_fusion_emitters=false",  # more than halves a step's compilation
        "--xla_cpu_parallel_codegen_split_count=1",
    ]
)
# What tests make and share, between workers too: runs, and compiled programs. A new
# folder each time: a test must not pass because of yesterday. Its maker removes it:
# workers are told of it.
if "SPARSETX_TESTS" not in os.environ:
    os.environ["SPARSETX_TESTS"] = tempfile.mkdtemp(prefix="sparsetx-tests-")
    atexit.register(shutil.rmtree, os.environ["SPARSETX_TESTS"], ignore_errors=True)
# A program that one worker, or a process of a test, has compiled is not compiled again.
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["SPARSETX_TESTS"] + "/compiled"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

import coverage
import pytest
from hypothesis import settings

vectors.widen()  # as the commands do that tests start
HERE = Path(__file__).parent

# Shared machines stall now and then: no deadlines. Same examples in every run, so that
# a failure in CI is a failure here.
settings.register_profile("house", deadline=None, derandomize=True, database=None)
settings.load_profile("house")

# Tracing makes millions of small objects that live on: looking through them for cycles
# took a tenth of the time.
gc.set_threshold(50_000, 10, 10)


# Files that take longest, and those that make what others wait for, begin: at the end
# no worker waits for another's long file. The first clears what is compiled.
FIRST = (
    "model/kernels/test_choice.py",
    "test_notebook.py",
    "training/test_launch.py",
    "training/test_step.py",
    "model/test_sparse_inference.py",
    "model/test_network.py",
    "test_topk.py",
    "circuits/measure/test_ablations.py",
    "circuits/program/test_numpy_program.py",
    "test_taps.py",
    "test_documents.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {str(HERE / name): place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(str(item.path), len(FIRST)))


def pytest_sessionfinish() -> None:
    """Keep what was covered before the process ends: a worker that takes long to let go
    of its programs is killed, and its data with it."""
    measured = coverage.Coverage.current()
    if measured is not None:
        measured.stop()
        measured.save()
