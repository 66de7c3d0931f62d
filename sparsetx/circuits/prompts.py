"""The prompts that a circuit was reported on, drawn again from what it remembers."""

import dataclasses
from dataclasses import dataclass

import numpy as np

from sparsetx import files
from sparsetx.circuits import pools
from sparsetx.circuits.circuit import JSON
from sparsetx.circuits.facts import Facts
from sparsetx.config import ModelConfig
from sparsetx.errors import Refusal
from sparsetx.run import CONFIG, TOKENIZER
from sparsetx.tasks import jsonl, table
from sparsetx.tasks.pairs import Pairs
from sparsetx.tokenizer import Tokenizer


@dataclass(frozen=True)
class Prompts:
    pairs: Pairs
    tokenizer: Tokenizer


def of(
    folder: files.PathLike,
    facts: Facts,
    file: files.PathLike | None = None,
    split: str = "test",
    count: int | None = None,
) -> Prompts:
    """A pool of a circuit's task, as many pairs as it was searched with, or `count`;
    those of a task of the user's own are in `file`."""
    tokenizer = _tokenizer(folder, facts)
    search, config = facts.search, facts.model.config
    most = min(search.length or config.context, config.context)
    if file is not None and facts.task in table.TASKS:
        raise Refusal(
            f"{facts.task} is one of the built-in tasks: leave out --task-file {file}"
        )
    if file is not None:
        pairs = jsonl.file_pairs(file, tokenizer, split, context=most)
        if pairs.task != facts.task:
            raise Refusal(
                f"wanted pairs of {facts.task}, a task of your own, in --task-file: "
                f"{file} has those of {pairs.task}"
            )
        return Prompts(pairs, tokenizer)
    if facts.task not in table.TASKS:
        raise Refusal(
            f"{facts.task} is a task of a file: name it with --task-file FILE.jsonl"
        )
    own = {"train": search.train_pairs, "val": search.val_pairs}
    count = count or max(own.get(split, search.test_pairs), 1)
    pairs = table.task_pairs(
        facts.task, tokenizer, split, count, search.seed, context=most
    )
    return Prompts(pairs, tokenizer)


def _tokenizer(folder: files.PathLike, facts: Facts) -> Tokenizer:
    """Of the run that the circuit lies in, or else of the one it was cut from."""
    here, wanted = files.absolute(folder), facts.model.tokenizer
    above = (path for path in (here, *here.parents) if (path / CONFIG).is_file())
    own = files.place(facts.model.run)
    runs = [r for r in (next(above, own), own) if (r / TOKENIZER).is_file()]
    found = [Tokenizer.load(run / TOKENIZER) for run in runs]
    if not found:
        raise Refusal(
            f"wanted the tokenizer of the run that the circuit at {folder} was cut "
            f"from: {own / TOKENIZER} does not exist. Put the circuit back into its "
            f"run's folder, beside {JSON} of others"
        )
    for tokenizer in found:
        if not wanted or tokenizer.fingerprint == wanted:
            return tokenizer
    raise Refusal(
        f"{runs[0] / TOKENIZER} is not the tokenizer of the circuit at {folder}: "
        f"wanted {wanted}, got {found[0].fingerprint}"
    )


def first_of(pairs: Pairs, most: int, config: ModelConfig) -> Pairs:
    """The first pairs of a pool, padded so that tasks of like length share programs."""
    rows = 2 * most
    longest = int(pairs.position_B[:rows].max()) + 1
    length = min(-(-longest // pools.ROUND) * pools.ROUND, config.context)
    tokens_BL = np.full((len(pairs.position_B[:rows]), length), pairs.tokens_BL[0, 0])
    tokens_BL[:, :longest] = pairs.tokens_BL[:rows, :longest]
    return dataclasses.replace(
        pairs,
        tokens_BL=tokens_BL,
        position_B=pairs.position_B[:rows],
        answers_B2=pairs.answers_B2[:rows],
        sign_B=pairs.sign_B[:rows],
        drafts=pairs.drafts[:most],
    )
