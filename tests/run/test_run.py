"""`load_run`, on a run that was really trained."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import sparsetx
from sparsetx import model, nodes
from sparsetx import run as runs_module
from sparsetx.system.errors import Refusal
from sparsetx.tasks.pairs import Pairs
from tests import runs

TOKENS = np.random.default_rng(0).integers(0, 512, (2, 9))


@pytest.fixture(scope="module")
def run() -> "sparsetx.run.Run":
    return sparsetx.load_run(runs.trained())


def test_it_is_the_last_step_and_its_configuration(run) -> None:
    assert run.step == runs.STEPS
    assert run.config == runs.config(runs.data())
    assert run.tokenizer.vocab_size == 512
    assert sparsetx.load_run(str(runs.trained()), step=8).step == 8


def test_nobody_is_warned_for_reading(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("WARNING"):
        sparsetx.load_run(runs.trained())
    assert not caplog.records


def test_its_arrays_are_the_models(run) -> None:
    config = run.config.model
    logits = run.logits(TOKENS)
    assert (logits.shape, logits.dtype) == ((2, 9, 512), np.float32)
    np.testing.assert_array_equal(logits, model.apply(config, run.params, TOKENS))
    for site, x in run.activations(TOKENS).items():
        assert x.shape == (2, 2, 9, nodes.width(config, site))
    attention = run.attention(TOKENS)
    assert attention.shape == (2, 2, 2, 9, 9)
    np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)


def test_ids_beyond_the_vocabulary_are_refused(run) -> None:
    with pytest.raises(Refusal, match="wanted token ids from 0 to 511, got 0 to 512"):
        run.logits([[0, 512]])
    with pytest.raises(Refusal, match="got -1 to 3"):
        run.logits([[-1, 3]])


def test_it_writes_the_same_again_and_stops_at_the_end_of_a_document(run) -> None:
    prompt = "def add(a, b):\n    return a" * 3  # longer than the context
    text = run.generate(prompt, 8)
    assert run.generate(prompt, 8) == text
    likeliest = run.tokenizer.encode(text)
    assert 0 < len(likeliest) <= 8
    drawn = {run.generate(prompt, 8, temperature=2.0, seed=s) for s in range(3)}
    assert len(drawn) > 1
    assert "<|endoftext|>" not in text


def test_it_ends_where_the_model_ends_the_document(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that returns given tokens; it sees the end of the text so far."""
    tokenizer, seen = run.tokenizer, []
    words = [*tokenizer.encode("x = 1"), tokenizer.eot, 65]

    def say(params, row, place):
        seen.append(row[0, : int(place[0]) + 1].tolist())
        return np.eye(512)[[words[len(seen) - 1]]]

    monkeypatch.setattr(runs_module, "_last_logits", lambda config: say)
    assert run.generate("def f", 50) == "x = 1"
    start = [tokenizer.eot, *tokenizer.encode("def f")]
    assert seen == [(start + words[:n])[-16:] for n in range(len(words) - 1)]
    seen.clear()
    assert tokenizer.encode(run.generate("def f", 2)) == words[:2]


def test_scores_are_of_the_answers_at_their_places(run) -> None:
    rng = np.random.default_rng(1)
    tokens = rng.integers(0, 512, (600, 9)).astype(np.int32)
    place = rng.integers(0, 9, 600).astype(np.int32)
    answers = rng.integers(0, 512, (600, 2)).astype(np.int32)
    pairs = Pairs("x", "test", tokens, place, answers, np.ones(600, np.float32), ())
    logits = run.logits(tokens)[np.arange(600), place].astype(float)
    right, wrong = logits[np.arange(600), answers.T]
    found = run.score(pairs)
    assert found.loss == pytest.approx(
        np.mean(np.log1p(np.exp(wrong - right))), rel=1e-5
    )
    assert found.accuracy == np.mean(right > wrong)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"wanted a run at .*nowhere"):
        sparsetx.load_run(tmp_path / "nowhere")
    copy = runs.copied(tmp_path)
    with pytest.raises(Refusal, match="no checkpoint of step 5; it has 8, 12"):
        sparsetx.load_run(copy, step=5)
    config = json.loads((copy / "config.json").read_text())
    config["model"]["d_model"] = 24
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(Refusal, match=r"step 12 of .* does not fit"):
        sparsetx.load_run(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(Refusal, match="it is not JSON"):
        sparsetx.load_run(copy)
    shutil.copy(runs.trained() / "config.json", copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(Refusal, match="wanted the tokenizer of the run"):
        sparsetx.load_run(copy).tokenizer  # noqa: B018
    (copy / "checkpoints" / "12" / "facts" / "metadata").write_text("{}")
    with pytest.raises(Refusal, match=r"step 12 .* is damaged.*other steps: \[8\]"):
        sparsetx.load_run(copy)
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(Refusal, match="it has no checkpoint yet"):
        sparsetx.load_run(copy)


def test_the_packages_front_door() -> None:
    assert set(sparsetx.__all__) <= set(dir(sparsetx))
    for name in sparsetx.__all__:
        assert getattr(sparsetx, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        sparsetx.nonsense  # noqa: B018
