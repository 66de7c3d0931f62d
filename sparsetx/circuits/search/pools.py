"""The three pools of a task, train, val and test, as a search uses them.

Masks train on *train*, a search chooses on *val*, reports use *test*. No template and
no name is in two of them. Prompts are padded to a multiple of 8 tokens, so that tasks
of similar length share programs.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import nodes
from sparsetx.circuits.facts import Facts
from sparsetx.circuits.measure import ablations, donors, questions
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search.pruning import Case
from sparsetx.config import ModelConfig
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.model import mesh
from sparsetx.run import CONFIG, TOKENIZER
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.tasks import table, task_file
from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.task import SPLITS

ROUND = 8  # tokens
ROUND_SHOWN = 64  # of the few pairs that a circuit is explained on
Drawn = Mapping[str, Pairs]  # {pool: pairs}


@dataclass(frozen=True)
class Sizes:
    """Pairs of each pool, and the most tokens of a prompt."""

    train: int = 512
    val: int = 64
    test: int = 512
    length: int | None = None  # None: the model's context


def drawn(
    name: str, tokenizer: Tokenizer, config: ModelConfig, sizes: Sizes, seed: int = 0
) -> Drawn:
    """Draw the pools of a task."""
    most = min(sizes.length or config.context, config.context)
    return {
        split: table.task_pairs(
            name, tokenizer, split, getattr(sizes, split), seed, context=most
        )
        for split in SPLITS
    }


def fingerprint(pools: Drawn) -> str:
    """A hash of all prompts and answers that the search and the report use."""
    digest = hashlib.sha256()
    for split in SPLITS:
        own = pools[split]
        for part in (own.tokens_BL, own.position_B, own.answers_B2, own.sign_B):
            digest.update(f"{split} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def padded_length(config: ModelConfig, *pools: Pairs) -> int:
    """The tokens of the longest prompt, rounded up."""
    longest = max(int(pairs.position_B.max()) + 1 for pairs in pools)
    return min(-(-longest // ROUND) * ROUND, config.context)


def asked(
    config: ModelConfig,
    params: Any,
    pairs: Pairs,
    length: int,
    sites: Sequence[str] | None = None,
) -> Task:
    """A pool of pairs as arrays, and the whole model's norms on it; with `sites`, also
    what the whole model computes there on some of its prompts: donors."""
    task = with_norms(config, params, questions.of(pairs, length))
    if sites is None:
        return task
    return with_donors(config, params, task, sites)


def with_donors(
    config: ModelConfig, params: Any, task: Task, sites: Sequence[str]
) -> Task:
    """The same, with donors."""
    given = donors.of(config, params, task.asked.tokens_BL, sites)
    return dataclasses.replace(task, donors=given)


def with_norms(config: ModelConfig, params: Any, asked: Question) -> Task:
    """A question, and the whole model's norms on it."""
    count = len(asked)
    parts = [
        ablations.norm_scales(config, params, asked.rows(part_B))
        for part_B in mesh.portions(count, questions.ROWS)
    ]
    scales = {}
    for site in parts[0]:
        axis = 0 if site in nodes.END_SITES else 1
        whole = np.concatenate([np.asarray(part[site]) for part in parts], axis)
        own = whole[:count] if axis == 0 else whole[:, :count]
        scales[site] = jnp.asarray(own)
    return Task(asked, scales)


def case(
    config: ModelConfig,
    params: Any,
    name: str,
    pools: Drawn,
    length: int,
    sites: Sequence[str] | None = None,
) -> Case:
    """A task to search; with `sites`, its pools have donors."""
    train, val = (
        asked(config, params, pools[split], length, sites) for split in ("train", "val")
    )
    if pools["train"].one_token:  # the odds are against all other tokens
        answers = np.arange(config.vocab_size)
    else:
        answers = np.unique(np.concatenate([p.answers_B2 for p in pools.values()]))
    return Case(name, train, val, answers.tolist())


@dataclass(frozen=True)
class Reported:
    pairs: Pairs
    tokenizer: Tokenizer


def again(
    folder: files.PathLike,
    facts: Facts,
    file: files.PathLike | None = None,
    split: str = "test",
    count: int | None = None,
) -> Reported:
    """Draw a pool of a circuit's task again, as many pairs as in the search, or
    `count`; or read it from `file`, if the task is the user's own."""
    tokenizer = _tokenizer(folder, facts)
    search, config = facts.search, facts.model.config
    most = min(search.length or config.context, config.context)
    if file is not None and facts.task in table.TASKS:
        raise Refusal(
            f"{facts.task} is one of the built-in tasks: leave out --task-file {file}"
        )
    if file is not None:
        pairs = task_file.file_pairs(file, tokenizer, split, context=most)
        if pairs.task != facts.task:
            raise Refusal(
                f"wanted pairs of {facts.task}, a task of your own, in --task-file: "
                f"{file} has those of {pairs.task}"
            )
        return Reported(pairs, tokenizer)
    if facts.task not in table.TASKS:
        raise Refusal(
            f"{facts.task} is a task of a file: name it with --task-file FILE.jsonl"
        )
    own = {"train": search.train_pairs, "val": search.val_pairs}
    count = count or max(own.get(split, search.test_pairs), 1)
    pairs = table.task_pairs(
        facts.task, tokenizer, split, count, search.seed, context=most
    )
    return Reported(pairs, tokenizer)


def _tokenizer(folder: files.PathLike, facts: Facts) -> Tokenizer:
    """The tokenizer of the run that the circuit is in, or else was found in."""
    here, wanted = files.absolute(folder), facts.model.tokenizer
    above = (path for path in (here, *here.parents) if (path / CONFIG).is_file())
    own = files.place(facts.model.run)
    runs = [r for r in (next(above, own), own) if (r / TOKENIZER).is_file()]
    found = [Tokenizer.load(run / TOKENIZER) for run in runs]
    if not found:
        raise Refusal(
            f"wanted the tokenizer of the run that the circuit at {folder} was cut "
            f"from: {own / TOKENIZER} does not exist. Put the circuit's folder back "
            "into the folder of its run"
        )
    for tokenizer in found:
        if not wanted or tokenizer.fingerprint == wanted:
            return tokenizer
    raise Refusal(
        f"{runs[0] / TOKENIZER} is not the tokenizer of the circuit at {folder}: "
        f"wanted {wanted}, got {found[0].fingerprint}"
    )


def first_of(pairs: Pairs, most: int, config: ModelConfig) -> Pairs:
    """The first pairs of a pool, padded so that the prompts of nearly all tasks share a
    program: to compile it takes longer than to run it on padding."""
    rows = 2 * most
    longest = int(pairs.position_B[:rows].max()) + 1
    length = min(-(-longest // ROUND_SHOWN) * ROUND_SHOWN, config.context)
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
