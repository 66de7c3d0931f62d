"""Contexts are positions in the text, with the values of the node there."""

import base64
import shutil
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.circuits import circuit
from sparsetx.circuits.report.page_data import text_contexts
from sparsetx.circuits.report.page_data.text_contexts import AFTER, BEFORE, EACH
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.nodes import MLP_NEURON, Node
from tests.circuits import handmade


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_groups_hold_what_they_say(seed: int, silent: float) -> None:
    rng = np.random.default_rng(seed)
    value_BL = rng.normal(size=(6, 30)) * (rng.random((6, 30)) > silent)
    groups = text_contexts.of_node(value_BL)
    most = np.abs(value_BL).max()
    if most == 0:
        assert groups == []
        return
    row, at = groups[0]["places"][0]
    assert abs(value_BL[row, at]) == most
    for group in groups:
        places = group["places"]
        assert len({row for row, _ in places}) == len(places) == EACH
        packed = np.frombuffer(base64.b64decode(group["values"]), np.uint8)
        want = np.concatenate(
            [value_BL[r, max(0, i - BEFORE) : i + AFTER + 1] for r, i in places]
        )
        got = (packed.astype(float) - 128) / 127 * most
        np.testing.assert_allclose(got, want, atol=most / 127)
    told = [float(g["name"].rpartition(", ")[2]) for g in groups]
    assert told in (sorted(told), sorted(told, reverse=True))


def test_many_nodes_have_fewer_contexts_each() -> None:
    counts = [text_contexts.each_of(n) for n in (0, 11, 150, 250, 4000)]
    assert counts == [3, 3, 2, 1, 1]


def test_a_run_gives_its_own_text(run: Path, tmp_path: Path) -> None:
    text = text_contexts.of_run(run)
    assert text is not None
    assert text.tokens_BL.shape == (text_contexts.ROWS, 32)
    told = text.to_json(Tokenizer.load(run / "tokenizer.json"))
    assert len(told["rows"][0]) == 32
    assert all(isinstance(token, str) for token in told["rows"][0])
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    values = text_contexts.sample(found, text).values
    assert values[Node(MLP_NEURON, 0, 0)].shape == text.tokens_BL.shape
    assert len(values) == 11


def test_without_token_files_there_is_no_text(run: Path, tmp_path: Path) -> None:
    assert text_contexts.of_run(tmp_path) is None
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    config = (copy / "config.json").read_text()
    lost = config.replace('"path": "', '"path": "/nowhere')
    (copy / "config.json").write_text(lost)
    assert text_contexts.of_run(copy) is None
