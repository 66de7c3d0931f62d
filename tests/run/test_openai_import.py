"""Importing a released model as a run; tests/torch tests the reader of its files."""

from pathlib import Path

import jax
import numpy as np
import pytest

import sparsetx
from sparsetx import openai_format
from sparsetx.data.grammar.document import document
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.run import openai_import
from sparsetx.system.errors import Refusal
from tests.small import SMALL, TOKENS, params_of


@pytest.fixture(autouse=True)
def released(monkeypatch: pytest.MonkeyPatch) -> None:
    params = jax.tree.map(np.asarray, params_of(SMALL))
    monkeypatch.setattr(openai_format, "load", lambda folder: (SMALL, params))


def test_the_run_is_the_model_at_step_0(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert openai_import.from_openai(tmp_path, path) == SMALL
    run = sparsetx.load_run(path)
    assert (run.step, run.config.model) == (0, SMALL)
    jax.tree.map(np.testing.assert_array_equal, run.params, params_of(SMALL))
    assert run.logits(TOKENS).shape == (2, 12, SMALL.vocab_size)
    with pytest.raises(Refusal, match=r"has no text"):
        run.generate("x")
    with pytest.raises(Refusal, match="wanted a new folder for the run"):
        openai_import.from_openai(tmp_path, path)


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    texts = [document(0, i) for i in range(60)]
    Tokenizer.train(texts, 512).save(tmp_path / "tokenizer.json")
    for named in (None, tmp_path / "tokenizer.json"):
        with pytest.raises(Refusal, match="has 512 tokens, the model only 37"):
            openai_import.from_openai(tmp_path, tmp_path / "run", named)
    assert not (tmp_path / "run").exists()
