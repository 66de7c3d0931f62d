"""The prompts that a circuit was reported on, drawn again from what it remembers."""

from dataclasses import dataclass

from sparsetx import files
from sparsetx.circuits.circuit import JSON
from sparsetx.circuits.facts import Facts
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
    here = files.absolute(folder)
    above = (path for path in (here, *here.parents) if (path / CONFIG).is_file())
    run = next(above, files.place(facts.model.run))
    if not (run / TOKENIZER).is_file():
        raise Refusal(
            f"wanted the tokenizer of the run that the circuit at {folder} was cut "
            f"from: {run / TOKENIZER} does not exist. Put the circuit back into its "
            f"run's folder, beside {JSON} of others"
        )
    tokenizer = Tokenizer.load(run / TOKENIZER)
    wanted = facts.model.tokenizer
    if wanted and tokenizer.fingerprint != wanted:
        raise Refusal(
            f"{run / TOKENIZER} is not the tokenizer of the circuit at {folder}: "
            f"wanted {wanted}, got {tokenizer.fingerprint}"
        )
    return tokenizer
