"""The three pools of a task as a search wants them: train, val and test.

Masks train on *train*, a search chooses on *val*, reports use *test*. Templates and
names never meet between them. All pools of a task have one length, a multiple of 8, so
that tasks of like length share programs.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from sparsetx import mesh, nodes
from sparsetx.circuits import ablate, question
from sparsetx.circuits.prune import Case
from sparsetx.circuits.question import Question
from sparsetx.circuits.search import Task
from sparsetx.config import ModelConfig
from sparsetx.tasks import table
from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.task import SPLITS
from sparsetx.tokenizer import Tokenizer

ROUND = 8  # tokens
Drawn = Mapping[str, Pairs]  # {pool: pairs}


@dataclass(frozen=True)
class Sizes:
    """Pairs of each pool, and the most tokens that a prompt may have."""

    train: int = 512
    val: int = 64
    test: int = 512
    length: int | None = None  # None: the model's context


def drawn(
    name: str, tokenizer: Tokenizer, config: ModelConfig, sizes: Sizes, seed: int = 0
) -> Drawn:
    """The pairs of a task's pools."""
    most = min(sizes.length or config.context, config.context)
    return {
        split: table.task_pairs(
            name, tokenizer, split, getattr(sizes, split), seed, context=most
        )
        for split in SPLITS
    }


def fingerprint(pools: Drawn) -> str:
    """Of all that the search and the report see of a task."""
    digest = hashlib.sha256()
    for split in SPLITS:
        own = pools[split]
        for part in (own.tokens_BL, own.position_B, own.answers_B2, own.sign_B):
            digest.update(f"{split} {part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]


def padded_length(config: ModelConfig, *pools: Pairs) -> int:
    """Of the longest prompt, rounded up."""
    longest = max(int(pairs.position_B.max()) + 1 for pairs in pools)
    return min(-(-longest // ROUND) * ROUND, config.context)


def asked(config: ModelConfig, params: Any, pairs: Pairs, length: int) -> Task:
    """A pool as arrays, and the whole model's norms on it."""
    return with_norms(config, params, question.of(pairs, length))


def with_norms(config: ModelConfig, params: Any, asked: Question) -> Task:
    """A pool, and the whole model's norms on it."""
    count = len(asked)
    parts = [
        ablate.norm_scales(config, params, asked.rows(part_B))
        for part_B in mesh.portions(count, question.ROWS)
    ]
    scales = {}
    for site in parts[0]:
        axis = 0 if site in nodes.END_SITES else 1
        whole = np.concatenate([np.asarray(part[site]) for part in parts], axis)
        own = whole[:count] if axis == 0 else whole[:, :count]
        scales[site] = jnp.asarray(own)
    return Task(asked, scales)


def case(
    config: ModelConfig, params: Any, name: str, pools: Drawn, length: int
) -> Case:
    train, val = (asked(config, params, pools[s], length) for s in ("train", "val"))
    if pools["train"].one_token:  # the odds are against all other tokens
        answers = np.arange(config.vocab_size)
    else:
        answers = np.unique(np.concatenate([p.answers_B2 for p in pools.values()]))
    return Case(name, train, val, answers.tolist())
