"""What a page steps through is what the circuit does."""

import base64
import dataclasses
from pathlib import Path

import numpy as np
import pytest

from sparsetx.circuits import ablate, circuit
from sparsetx.circuits import prompts as asked
from sparsetx.circuits.report import prompts
from sparsetx.errors import Refusal
from sparsetx.model import trace
from sparsetx.nodes import ATTN_PATTERN, MLP_NEURON, Node
from sparsetx.taps import capture, compose
from tests.circuits import handmade, known


def unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), np.uint8).astype(np.float64)


def test_bytes_are_the_circuits_activations_and_attention(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    pairs = known.pairs(run)
    traced = prompts.traced(found, pairs)
    told = prompts.packed(traced, known.tokenizer(run))
    tap = compose(
        ablate.mean(found.keep, found.means), capture([MLP_NEURON, ATTN_PATTERN])
    )
    _, taken = trace(found.config, found.params, pairs.tokens_BL, tap)
    place = found.nodes.index(Node(MLP_NEURON, 0, 0))
    first = prompts._chosen(traced)[0]
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


def test_the_lead_is_the_circuits_margin(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    pairs = known.pairs(run)
    told = prompts.packed(prompts.traced(found, pairs), known.tokenizer(run))
    logits_BLV = found.logits(pairs.tokens_BL)
    rows = np.arange(len(logits_BLV))
    last_BV = logits_BLV[rows, pairs.position_B]
    right, wrong = (last_BV[rows, pairs.answers_B2[:, i]] for i in (0, 1))
    want = sorted(np.round(right - wrong, 2).tolist())
    got = sorted(round(p[s]["lead"], 2) for p in told["pairs"] for s in "ab")
    assert got == pytest.approx(want, abs=0.02)
    for pair in told["pairs"]:
        assert pair["a"]["toward"][-1] == pair["a"]["lead"] > 0
        assert pair["b"]["toward"][-1] == -pair["b"]["lead"] < 0
        assert pair["a"]["answer"] == '")\n'


def test_classes_part_where_prompts_differ(run: Path) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    traced = prompts.traced(found, known.pairs(run, 8))
    told = dict(zip(found.nodes, prompts.classes(traced), strict=True))
    detector, kind = told[Node(MLP_NEURON, 0, 0)], told[Node(MLP_NEURON, 0, 1)]
    assert detector is None  # it does the same for both
    assert kind is not None
    assert sum(kind["a"]) == sum(kind["b"]) == 8
    assert not np.array(kind["a"]) @ np.array(kind["b"])  # no bin holds both
    assert kind["low"] < kind["high"]


def test_there_is_only_so_much_room(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = circuit.load_circuit(run / "circuits" / handmade.TASK)
    traced = prompts.traced(found, known.pairs(run, 8))
    assert len(prompts._chosen(traced)) == 8
    monkeypatch.setattr(prompts, "ROOM", 700)
    few = prompts._chosen(traced)
    assert 1 <= len(few) < 4
    long = traced.pairs.position_B.reshape(-1, 2).max(1)
    assert long[few[0]] == long.min()  # the shortest leads


def test_what_is_missing_is_said(run: Path, tmp_path: Path) -> None:
    own = known.cut(run)
    with pytest.raises(Refusal, match=r"--task-file F\w*\.jsonl"):
        asked.of(own.folder, own.facts)
    other = tmp_path / "others.jsonl"
    other.write_bytes((run.parent / f"{handmade.TASK}.jsonl").read_bytes())
    with pytest.raises(Refusal, match=r"a task of your own, in --task-file: .* others"):
        asked.of(own.folder, own.facts, other)
    model = dataclasses.replace(own.facts.model, run=str(tmp_path / "gone"))
    lost = dataclasses.replace(own.facts, model=model)
    with pytest.raises(Refusal, match="wanted the tokenizer of the run"):
        asked.of(tmp_path, lost)
