"""Saved circuits: they load, compute the same, and damaged files are refused."""

import dataclasses
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import sparsetx
from sparsetx import nodes
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.circuit import Circuit
from sparsetx.circuits.measure import ablations, calibration, questions
from sparsetx.run import params_hash
from sparsetx.system.errors import Refusal
from tests.circuits import compiled

CONFIG = compiled.CONFIG
PARAMS = compiled.params()
MEANS = {
    site: np.asarray(x)
    for site, x in ablations.means(CONFIG, PARAMS, compiled.corpus()).items()
}
ASKED = compiled.question(32, 5)


def made(**more: Any) -> Circuit:
    keep = {site: np.asarray(x) for site, x in compiled.mask().items()}
    margin_B = questions.margins(CONFIG, PARAMS, ASKED, ablations.mean(keep, MEANS))
    fitted = calibration.fit(ASKED, np.asarray(margin_B))
    shift = fitted.shift or {}
    loss = np.mean(np.logaddexp(0, -fitted.margins(ASKED, np.asarray(margin_B))))
    kept = [
        nodes.node_at(CONFIG, int(i))
        for i in np.flatnonzero(nodes.flatten(CONFIG, keep))
    ]
    told = facts.Facts(
        task="quotes",
        status=facts.REACHED,
        loss=float(loss),
        model=facts.Model(CONFIG, params_hash(PARAMS), run="runs/none"),
        calibration=facts.Calibration(
            fitted.scale, tuple(shift), tuple(shift.values())
        ),
        curve=facts.Curve((4, 11), (2, 9), (0.7, 0.01)),
        nodes=tuple(map(circuit.name_of, kept)),
    )
    return Circuit(dataclasses.replace(told, **more), PARAMS, keep, MEANS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    circuit.save(made(), tmp_path / "quotes")
    return tmp_path / "quotes"


def test_a_saved_circuit_is_loaded_and_computes_the_same(folder: Path) -> None:
    found = sparsetx.load_circuit(folder)
    assert found.task == "quotes"
    assert set(found.nodes) == compiled.CIRCUIT
    assert len(found.edges) == compiled.EDGES
    assert found.facts == made().facts
    answers = np.asarray(ASKED.answers_B2)
    logits_B2 = found.answer_logits(ASKED.tokens_BL, ASKED.position_B, answers)
    loss = np.mean(np.logaddexp(0, logits_B2[:, 1] - logits_B2[:, 0]))
    assert loss == pytest.approx(found.loss, abs=1e-6)
    logits_BLV = found.logits(ASKED.tokens_BL)
    assert logits_BLV.shape == (64, compiled.LENGTH, CONFIG.vocab_size)


def test_saving_twice_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    circuit.save(made(), tmp_path / "again")
    for name in (circuit.JSON, circuit.NPZ):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_the_path_of_circuit_json_can_be_given(folder: Path) -> None:
    assert circuit.load_circuit(folder / circuit.JSON).task == "quotes"


def test_one_token_contrasts_have_log_odds_as_answers(folder: Path) -> None:
    found = circuit.load_circuit(folder)
    token = compiled.CLOSE_DOUBLE
    same = np.full((4, 2), token)
    rows = ASKED.tokens_BL[:4], ASKED.position_B[:4]
    logits_B2 = found.answer_logits(*rows, same)
    place = np.asarray(ASKED.position_B[:4])
    whole = np.asarray(found.logits(rows[0]))[np.arange(4), place]
    p = np.asarray(jax.nn.softmax(whole))[:, token]
    calibration = found.calibration
    shift = (calibration.shift or {})[token]
    wanted = calibration.scale * np.log(p / (1 - p)) + shift
    np.testing.assert_allclose(logits_B2[:, 0], wanted, rtol=1e-3)
    np.testing.assert_array_equal(logits_B2[:, 1], 0)


def test_a_search_that_found_nothing_has_facts_but_no_circuit(tmp_path: Path) -> None:
    circuit.save_facts(made(status=facts.NOT_DONE).facts, tmp_path)
    assert circuit.load_facts(tmp_path).status == facts.NOT_DONE
    with pytest.raises(Refusal, match=r"quotes was not done by the model at 0\.15"):
        circuit.load_circuit(tmp_path)


def test_weights_of_a_large_model_are_not_saved_with_the_circuit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(circuit, "CARRIED", 10)
    circuit.save(made(), tmp_path / "large")
    assert (tmp_path / "large" / circuit.NPZ).stat().st_size < 8_000
    with pytest.raises(
        Refusal, match="its run cannot be loaded: wanted a run at runs/none"
    ):
        circuit.load_circuit(tmp_path / "large")


def rewritten(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    value = json.loads((folder / circuit.JSON).read_text())
    change(value)
    (folder / circuit.JSON).write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(version=9), "wanted version 1 or 2, got 9"),
        (lambda v: v.update(nodes=["q/0/99"]), "'q/0/99' is not a node of this model"),
        (lambda v: v.update(nodes=["q/x"]), "wanted site/layer/index, got 'q/x'"),
        (lambda v: v.update(nodes=["q/0/1", "q/0/1"]), "one is listed twice"),
        (lambda v: v.update(loss="low"), 'loss = "low": wanted a number'),
        (lambda v: v.update(evil=1), "evil: there is no such key"),
        (lambda v: v["model"].update(hash="0"), "not those of the model"),
        (lambda v: v["calibration"].update(shift=[]), "wanted a shift for each token"),
        (lambda v: v["model"]["config"].update(d_model=0), "d_model"),
    ],
)  # fmt: skip
def test_facts_that_do_not_fit_are_refused(
    folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    rewritten(folder, change)
    with pytest.raises(Refusal) as refused:
        circuit.load_circuit(folder)
    assert message in str(refused.value)


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"version": 1, "nodes": 3}'])
def test_a_broken_file_is_refused(folder: Path, text: str) -> None:
    (folder / circuit.JSON).write_text(text)
    with pytest.raises(Refusal, match="circuit"):
        circuit.load_circuit(folder)


def test_arrays_that_do_not_fit_are_refused(folder: Path) -> None:
    path = folder / circuit.NPZ
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refusal, match="circuit's arrays"):
        circuit.load_circuit(folder)
    np.savez(path, **{"mean/q": np.zeros(3)})
    with pytest.raises(Refusal, match=r"mean/attn_in: wanted float32 \[2, 16\]"):
        circuit.load_circuit(folder)
    np.savez(path, evil=np.array([{"a": 1}], dtype=object))
    with pytest.raises(Refusal, match="circuit's arrays"):
        circuit.load_circuit(folder)
    path.unlink()
    with pytest.raises(Refusal, match="No such file"):
        circuit.load_circuit(folder)


def test_an_archive_that_would_unpack_to_too_much_is_refused(folder: Path) -> None:
    with zipfile.ZipFile(folder / circuit.NPZ, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mean/q.npy", bytes(50_000_000))
    with pytest.raises(Refusal, match="at most"):
        circuit.load_circuit(folder)


def test_a_folder_without_a_circuit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="sparsetx prune RUN --tasks TASK"):
        circuit.load_circuit(tmp_path)
