"""Weights as nonzeros: bit for bit, small, and refused where they are damaged."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sparsetx
from sparsetx.cli.main import main
from sparsetx.model import parameters
from sparsetx.run import load_run, nonzeros, params_hash, verification
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from tests import runs
from tests.circuits import handmade, known


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 300_000), unique=True, max_size=30), st.integers(0, 9))
def test_places_survive_gaps_of_any_length(places: list[int], seed: int) -> None:
    place = np.array(sorted(places), np.int64)
    np.testing.assert_array_equal(nonzeros._places(nonzeros._gaps(place)), place)
    x = np.zeros(300_001, np.float32)
    x[place] = np.random.default_rng(seed).normal(size=len(place))
    packed = nonzeros._packed("w", x)
    again = nonzeros._unpacked(packed, "w", x.shape, Path("here"))
    np.testing.assert_array_equal(again.view(np.uint32), x.view(np.uint32))


@pytest.mark.parametrize("gap", [65534, 65535, 65536, 131070, 131071])
def test_around_the_longest_gap(gap: int) -> None:
    place = np.array([0, gap, gap + 1, 2 * gap + 1])
    np.testing.assert_array_equal(nonzeros._places(nonzeros._gaps(place)), place)


def test_signs_of_zeros_and_nan_are_kept() -> None:
    x = np.array([[0.0, -0.0], [np.nan, 1e-42]], np.float32)
    for array in (x, np.pad(x, (0, 9))):
        again = nonzeros._unpacked(
            nonzeros._packed("w", array), "w", array.shape, Path("here")
        )
        np.testing.assert_array_equal(again.view(np.uint32), array.view(np.uint32))


def test_an_exported_run_is_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = known.made(tmp_path), tmp_path / "given"
    assert main(["export", str(run), str(out)]) == 0
    assert "1 circuits" in capsys.readouterr().out
    before, after = load_run(run), load_run(out)
    assert params_hash(after.params) == params_hash(before.params)
    assert (after.config, after.step) == (before.config, before.step)
    tokens = np.array([[0, 1, 5, 6]])
    np.testing.assert_array_equal(after.logits(tokens), before.logits(tokens))
    cut = "circuits/" + handmade.TASK
    own, given_away = (sparsetx.load_circuit(p / cut) for p in (run, out))
    assert given_away.facts.model.run == str(out)
    assert given_away.nodes == own.nodes
    np.testing.assert_array_equal(given_away.logits(tokens), own.logits(tokens))
    assert (out / cut / "circuit.npz").stat().st_size < 20_000  # no weights
    assert all(found.whole for found in verification.run(out))
    with pytest.raises(Refusal, match="no checkpoint of step 77"):
        load_run(out, 77)
    with pytest.raises(Refusal, match="a trained run"):
        nonzeros.export(out, after.params, 0, run)


def test_a_sparse_model_takes_little_room(tmp_path: Path) -> None:
    run = load_run(runs.trained())
    size = nonzeros.write(tmp_path, run.params, run.step)
    leaves = [np.asarray(x) for _, x in parameters.leaves(run.params)]
    nonzero = sum(np.count_nonzero(x) for x in leaves)
    assert size < 5.5 * nonzero + 20_000
    params, step = nonzeros.read(tmp_path, run.config.model)
    assert (params_hash(params), step) == (params_hash(run.params), run.step)


@pytest.mark.parametrize(
    "damage", ["cut short", "no step", "a place outside", "another shape", "text"]
)
def test_damage_is_refused(tmp_path: Path, damage: str) -> None:
    run = load_run(handmade.run(tmp_path))
    nonzeros.write(tmp_path, run.params, run.step)
    path = tmp_path / nonzeros.FILE
    with np.load(path) as loaded:
        arrays: dict[str, Any] = dict(loaded)
    name = next(n for n in arrays if n.startswith(nonzeros.PLACE))
    if damage == "no step":
        del arrays["step"]
    elif damage == "a place outside":
        arrays[name][-1] = 65000
    elif damage == "another shape":
        arrays[name] = arrays[name][:-1]
    elif damage == "text":
        arrays[name] = np.array(["x"])
    files.write_arrays(path, arrays)
    if damage == "cut short":
        path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(Refusal, match=r"nonzeros\.npz"):
        nonzeros.read(tmp_path, run.config.model)
    assert not verification._nonzeros(path.parent).whole
