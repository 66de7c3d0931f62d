"""How good a trained run is: on held-out text, and at each task."""

from collections.abc import Iterator, Sequence

import numpy as np

from sparsetx import launch, provenance
from sparsetx.data import feed, loader
from sparsetx.data.loader import Loader
from sparsetx.errors import Refusal
from sparsetx.metrics import silent
from sparsetx.run import Run
from sparsetx.tasks import table
from sparsetx.tasks.score import Score

DONE = 0.10  # nats: a model at or below this does the task (log 2 is guessing)


def validation(run: Run, batches: int | None = None) -> dict[str, float]:
    """Mean figures of the validation split, on the run's own tokens."""
    config = run.config
    fingerprint = provenance.data_fingerprint(run.path)
    data = feed.open_data(config, silent, fingerprint)
    rows = Loader(data.split("validation"), config.model.context, config.train.batch)
    one = launch.eval_function(config)
    found = [
        one(run.params, part)
        for part in loader.in_order(rows, batches or config.train.eval_batches)
    ]
    return {name: float(np.mean([float(f[name]) for f in found])) for name in found[0]}


def chosen(text: str) -> list[str]:
    """`all`, or names with commas between them."""
    if text == "all":
        return list(table.TASKS)
    return [table.find(name.strip()).name for name in text.split(",")]


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
    """The commonest of the reasons, in a line of a table."""
    reasons = [line for line in str(refusal).splitlines() if line.startswith("  - ")]
    return f"not with this tokenizer and context: {(reasons or ['  - ?'])[0][4:]}"
