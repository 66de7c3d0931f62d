"""Tokens per second of preparing a corpus, and of reading batches of it back.

Preparing is shown whole and in its parts; the loader is read as training reads it, on
one thread, from one shard and from several, and next to a plain copy of its windows.
"""

import itertools
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

from sparsetx.bench.timing import USUAL, Asked, Row, race
from sparsetx.data import documents, token_files
from sparsetx.data.loader import Loader
from sparsetx.data.prepare import Request, prepare
from sparsetx.data.tokenizer import Tokenizer

TOKENS = 1_000_000  # of the corpus: seconds, and still more than a cache holds
CONTEXT, BATCH, STEPS = 256, 64, 40
TEXTS = 4000  # documents, in the parts of preparing


def run(
    asked: Asked = USUAL,
    tokens: int = TOKENS,
    steps: int = STEPS,
    texts: int = TEXTS,
) -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        whole = Request("tinypython", tokens=tokens, out=folder)
        title = f"prepare tinypython, {tokens:,} tokens, vocabulary {whole.vocab}"
        out = race(
            title,
            {"all of it": lambda: prepare(whole)},
            rounds=1,
            tokens=tokens,
            warm=False,
            report=asked.report,
        )
        made = prepare(whole)  # there already: opened
        out += _parts(Tokenizer.load(made.tokenizer_path), texts, asked)
        return out + _loader(made.split("train"), steps, asked)


def _parts(tokenizer: Tokenizer, count: int, asked: Asked) -> list[Row]:
    """What preparing does once the tokenizer is there, for equally many tokens."""

    def write() -> list[str]:
        return [one.text for one in itertools.islice(documents.tinypython(), count)]

    found = write()

    def encode() -> list[list[int]]:
        return [tokenizer.encode(text) for text in found]

    amount = sum(map(len, encode()))
    parts: dict[str, Callable[[], Any]] = {"grammar": write, "tokenizer": encode}
    title, turns = f"its parts, {count:,} documents", asked.turns(3)
    return race(title, parts, turns, amount, report=asked.report)


def _loader(source: token_files.Stream, steps: int, asked: Asked) -> list[Row]:
    """`steps` batches one after another; the limit is a copy of tokens as they lie."""
    tokens = source.windows(np.array([0]), len(source))[0]
    sharded = token_files.Stream("four shards", np.array_split(tokens, 4))
    one, four = (Loader(s, CONTEXT, BATCH) for s in (source, sharded))

    def read(loader: Loader) -> None:
        for step in range(steps):
            loader.rows(step)

    def copy() -> None:
        for step in range(steps):
            start = step * BATCH * CONTEXT % (len(tokens) - BATCH * CONTEXT)
            tokens[start : start + BATCH * CONTEXT].astype(np.int32)

    return race(
        f"loader, batches of [{BATCH}, {CONTEXT} + 1], one thread",
        {"one shard": lambda: read(one), "four": lambda: read(four), "copy": copy},
        rounds=asked.turns(5),
        tokens=steps * BATCH * CONTEXT,
        report=asked.report,
    )
