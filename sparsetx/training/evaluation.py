"""Evaluate a trained run: validation loss, and the loss on each task."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparsetx.data import loader
from sparsetx.data.batches import open_data
from sparsetx.data.loader import Loader
from sparsetx.run import Run, provenance
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import silent
from sparsetx.tasks import table
from sparsetx.tasks.score import Score
from sparsetx.training import launch

DONE = 0.10  # nats: a model at or below this loss does the task (guessing: log 2)


def validation(run: Run, batches: int | None = None) -> dict[str, float]:
    """Mean metrics on the validation split of the tokens that the run trained on."""
    config = run.config
    fingerprint = provenance.data_fingerprint(run.path)
    data = open_data(config, silent, fingerprint)
    rows = Loader(data.split("validation"), config.model.context, config.train.batch)
    one = launch.eval_function(config)
    found = [
        one(run.params, part)
        for part in loader.in_order(rows, batches or config.train.eval_batches)
    ]
    return {name: float(np.mean([float(f[name]) for f in found])) for name in found[0]}


def tasks(
    run: Run, names: Sequence[str], pairs: int
) -> Iterator[tuple[str, Score | str]]:
    """(task, score), or (task, why the tokenizer cannot express it)."""
    context = run.config.model.context
    for name in names:
        try:
            held_out = table.task_pairs(
                name, run.tokenizer, "heldout", pairs, context=context
            )
        except Refusal as refusal:
            yield name, _reason(refusal)
            continue
        yield name, run.score(held_out)


def _reason(refusal: Refusal) -> str:
    """The most frequent reason, as one line of a table."""
    reasons = [line for line in str(refusal).splitlines() if line.startswith("  - ")]
    return f"not with this tokenizer and context: {(reasons or ['  - ?'])[0][4:]}"
