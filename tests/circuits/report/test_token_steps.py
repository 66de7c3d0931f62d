"""The page's activations, attention and margins are those of the circuit."""

import base64
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sparsetx.circuits import circuit
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.report.page_data import token_steps
from sparsetx.circuits.search import pools
from sparsetx.model import trace
from sparsetx.nodes import ATTN_PATTERN, MLP_NEURON, Node
from sparsetx.system.errors import Refusal
from sparsetx.taps import capture, compose
from tests.circuits import handmade, known


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).astype(np.float64)


def test_bytes_are_the_circuits_activations_and_attention(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    pairs = known.pairs(run)
    traced = token_steps.traced(found, pairs)
    told = token_steps.packed(traced, known.tokenizer(run))
    tap = compose(
        ablations.mean(found.keep, found.means), capture([MLP_NEURON, ATTN_PATTERN])
    )
    _, taken = trace(found.config, found.params, pairs.tokens_BL, tap)
    place = found.nodes.index(Node(MLP_NEURON, 0, 0))
    first = token_steps._chosen(traced)[0]
    for row, side in ((2 * first, "a"), (2 * first + 1, "b")):
        own = told["pairs"][0][side]
        last = int(pairs.position_B[row]) + 1
        acts = unpacked(own["acts"]).reshape(len(found.nodes), last)
        got = (acts[place] - 128) / 127 * told["scale"][place]
        want = np.asarray(taken[MLP_NEURON])[0, row, :last, 0]
        np.testing.assert_allclose(got, want, atol=told["scale"][place] / 127)
        looks = unpacked(own["looks"][0]) / 255
        pattern = np.asarray(taken[ATTN_PATTERN])[1, row, 0, :last, :last]
        np.testing.assert_allclose(looks, pattern[np.tril_indices(last)], atol=0.01)
        assert len(own["tokens"]) == last
    assert told["heads"] == [{"layer": 1, "head": 0}]


def test_the_margin_is_the_circuits(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    pairs = known.pairs(run)
    told = token_steps.packed(token_steps.traced(found, pairs), known.tokenizer(run))
    logits_BLV = found.logits(pairs.tokens_BL)
    rows = np.arange(len(logits_BLV))
    last_BV = logits_BLV[rows, pairs.position_B]
    right, wrong = (last_BV[rows, pairs.answers_B2[:, i]] for i in (0, 1))
    want = sorted(np.round(right - wrong, 2).tolist())
    got = sorted(round(p[s]["margin"], 2) for p in told["pairs"] for s in "ab")
    assert got == pytest.approx(want, abs=0.02)
    for pair in told["pairs"]:
        assert pair["a"]["toward"][-1] == pair["a"]["margin"] > 0
        assert pair["b"]["toward"][-1] == -pair["b"]["margin"] < 0
        assert pair["a"]["answer"] == '")\n'


def test_classes_differ_where_prompts_differ(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    traced = token_steps.traced(found, known.pairs(run, 8))
    told = dict(zip(found.nodes, token_steps.classes(traced), strict=True))
    detector, kind = told[Node(MLP_NEURON, 0, 0)], told[Node(MLP_NEURON, 0, 1)]
    assert detector is None  # it is the same in both
    assert kind is not None
    assert sum(kind["a"]) == sum(kind["b"]) == 8
    assert not np.array(kind["a"]) @ np.array(kind["b"])  # no bin holds both
    assert kind["low"] < kind["high"]


def test_room_limits_the_pairs(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    traced = token_steps.traced(found, known.pairs(run, 8))
    assert len(token_steps._chosen(traced)) == 8
    monkeypatch.setattr(token_steps, "ROOM", 700)
    few = token_steps._chosen(traced)
    assert 1 <= len(few) < 4
    long = traced.pairs.position_B.reshape(-1, 2).max(1)
    assert long[few[0]] == long.min()  # the shortest comes first


def test_missing_files_are_refused(run: Path, tmp_path: Path) -> None:
    own = known.cut(run)
    with pytest.raises(Refusal, match=r"--task-file F\w*\.jsonl"):
        pools.again(own.folder, own.facts)
    other = tmp_path / "others.jsonl"
    other.write_bytes((run.parent / f"{handmade.TASK}.jsonl").read_bytes())
    with pytest.raises(Refusal, match=r"a task of your own, in --task-file: .* others"):
        pools.again(own.folder, own.facts, other)
    model = dataclasses.replace(own.facts.model, run=str(tmp_path / "gone"))
    lost = dataclasses.replace(own.facts, model=model)
    with pytest.raises(Refusal, match="wanted the tokenizer of the run"):
        pools.again(tmp_path, lost)
