"""Evaluating tasks: a score, or why the tokenizer cannot express the task."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sparsetx.data.token_files import Stream
from sparsetx.system.errors import Refusal
from sparsetx.tasks import table
from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.score import Score, score
from sparsetx.training import evaluation, launch
from tests import runs


class Letters:
    """A token for each character: the answers of few tasks are one token then."""

    eot = 300

    def encode(self, text: str) -> list[int]:
        return list(text.encode())


def guessing(pairs: Pairs) -> Score:
    return score(pairs, np.zeros((len(pairs.tokens_BL), 301)))


def run(context: int = 256) -> Any:
    config = SimpleNamespace(model=SimpleNamespace(context=context))
    return SimpleNamespace(config=config, tokenizer=Letters(), score=guessing)


def test_all_is_every_task_and_names_are_checked() -> None:
    assert table.chosen("all") == list(table.TASKS)
    assert table.chosen("var_if, for_while") == ["var_if", "for_while"]
    with pytest.raises(Refusal, match="did you mean for_while"):
        table.chosen("var_if,for_whil")


def test_each_task_has_a_score_or_a_reason() -> None:
    found = dict(evaluation.tasks(run(), ["with_open", "single_double_quote"], 4))
    assert found["with_open"] == Score(pytest.approx(np.log(2)), 0.0)
    assert str(found["single_double_quote"]).startswith(
        "not with this tokenizer and context: "
    )
    (short,) = evaluation.tasks(run(context=3), ["with_open"], 4)
    assert "context" in str(short[1])


def test_a_number_of_batches_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metric of a batch is its first token here; a batch has 8 x 16 tokens."""
    whole = runs.config(Path("nowhere"))
    splits = {"validation": Stream("validation", [np.arange(1000)])}
    data = SimpleNamespace(split=splits.__getitem__)
    monkeypatch.setattr(evaluation, "open_data", lambda *_: data)
    monkeypatch.setattr(
        launch, "eval_function", lambda config: lambda params, rows: {"x": rows[0, 0]}
    )
    held: Any = SimpleNamespace(config=whole, params={}, path=Path("nowhere"))
    assert evaluation.validation(held, 1) == {"x": 0}
    assert evaluation.validation(held, 3) == {"x": (0 + 128 + 256) / 3}
    assert evaluation.validation(held) == {"x": 64}  # as the run's own evaluations
