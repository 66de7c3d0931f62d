"""Sixty-four ways to break a saved step: none is ever taken for a right one."""

import gc
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import pytest

from sparsetx.run import checkpoints
from tests.faults.case import case
from tests.run.test_checkpoints import equal, resumed, saved, tree

CASES = 64


def files_of(step: Path) -> list[Path]:
    return sorted(path for path in step.rglob("*") if path.is_file())


def damaged(step: Path, rng: random.Random) -> str:
    """One damage, and what it was."""
    kind = rng.choice(["bit", "bit", "bit", "truncated", "missing", "empty"])
    if kind == "empty":
        shutil.rmtree(step)
        step.mkdir()
        return kind
    path = rng.choice([p for p in files_of(step) if p.stat().st_size])
    if kind == "missing":
        path.unlink()
    elif kind == "truncated":
        path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])
    else:
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(bytes(data))
    return kind


# Orbax's reading thread outlives the loop that a broken file ended.
@pytest.fixture(autouse=True)
def swept() -> Iterator[None]:
    """What Orbax leaves of a broken read goes here, where its warning is expected, and
    not when the session ends."""
    yield
    gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damage_is_found_or_harmless(tmp_path: Path) -> None:
    rng = random.Random(0)
    found, harmless, kinds = 0, 0, []
    first = saved(tmp_path / "first", [1, 2])
    with case(f"{CASES} damages to a saved step") as row:
        for number in range(CASES):
            run = tmp_path / str(number)
            shutil.copytree(first, run)
            kinds.append(damaged(run / "checkpoints" / "2", rng))
            state, notices = resumed(run)
            if notices:
                found += 1
                equal(state, tree(1))
                assert checkpoints.steps(run) == [1]
                saved(run, [2, 3])  # nothing stands in the way, and 1 was not collected
                assert len(list((run / "quarantine").iterdir())) == 1
            else:
                harmless += 1  # a byte that says nothing about the state
                equal(state, tree(2))
            shutil.rmtree(run)
        counts = ", ".join(f"{kinds.count(k)} {k}" for k in sorted(set(kinds)))
        row.told = (
            f"{counts}: {found} found and set aside, {harmless} in bytes that hold no "
            "state, 0 taken for right"
        )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_every_flipped_bit_of_the_arrays_is_found(tmp_path: Path) -> None:
    """The arrays themselves, stored as they are in the files of one process."""
    rng = random.Random(1)
    first = saved(tmp_path / "first", [1, 2])
    with case(f"{CASES} bits flipped in the arrays") as row:
        for number in range(CASES):
            run = tmp_path / str(number)
            shutil.copytree(first, run)
            big = max(
                files_of(run / "checkpoints" / "2" / "state" / "d"),
                key=lambda p: p.stat().st_size,
            )
            data = bytearray(big.read_bytes())
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            big.write_bytes(bytes(data))
            state, notices = resumed(run)
            assert len(notices) == 1, number
            equal(state, tree(1))
            shutil.rmtree(run)
        row.told = f"{CASES} of {CASES} found, step 1 taken"


def test_a_checkpoint_of_an_older_version_still_loads() -> None:
    """Written once, by version 0.1; never to be written again."""
    old = Path(__file__).parent.parent / "golden" / "run-0.1"
    params = checkpoints.read_params(old, 2)
    jax.tree.map(np.testing.assert_array_equal, params, tree(2)["params"])
