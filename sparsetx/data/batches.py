"""Batches of a run, placed on its devices, for training and validation."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Sharding

from sparsetx.config import RunConfig
from sparsetx.data import loader, token_files
from sparsetx.data.loader import Loader
from sparsetx.data.prepare import GENERATED, Request, prepare, recipe
from sparsetx.system import hosts
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Reporter


def open_data(
    config: RunConfig, report: Reporter, fingerprint: str | None = None
) -> token_files.Prepared:
    """The run's prepared tokens; generated programs are prepared if missing.

    fingerprint: of the tokens that a run began on. If given, existing tokens are never
    overwritten: they may be those tokens, made by an older grammar.
    """
    request = _request(config)
    embedded = request.name in GENERATED  # needs no network and no files
    if embedded and hosts.is_first_host() and not _enough(request, fingerprint):
        prepare(request, report)
    hosts.wait_for_all("data")
    return token_files.open_prepared(
        request.folder, request.command, request.vocab, fingerprint
    )


def opened(config: RunConfig, fingerprint: str) -> token_files.Prepared | None:
    """The tokens that a run began on, if they are here; nothing is prepared."""
    request = _request(config)
    try:
        return token_files.open_prepared(
            request.folder, request.command, request.vocab, fingerprint
        )
    except Refusal:
        return None


def _request(config: RunConfig) -> Request:
    wanted = config.data
    tokens = wanted.tokens if wanted.name in GENERATED else None
    vocab = config.model.vocab_size
    return Request(wanted.name, vocab=vocab, tokens=tokens, out=wanted.path)


def _enough(request: Request, fingerprint: str | None) -> bool:
    """Whether the folder has these programs, and at least as many: a smaller set does
    not replace a larger, since other runs may train on it."""
    try:
        found = token_files.open_prepared(
            request.folder, request.command, request.vocab
        )
    except Refusal:
        return False
    if fingerprint is not None:
        return True
    had, wanted = found.meta.get("recipe") or {}, recipe(request)
    more = had.get("tokens", 0) >= wanted["tokens"]
    return more and had | {"tokens": wanted["tokens"]} == wanted


@dataclass(frozen=True)
class Feed:
    """Batches for training and validation; each host reads only its own rows."""

    train: Loader
    validation: Loader
    sharding: Sharding
    batches: int  # of an evaluation

    @classmethod
    def of(
        cls, config: RunConfig, data: token_files.Prepared, sharding: Sharding
    ) -> "Feed":
        def rows_of(split: str) -> Loader:
            return Loader(
                data.split(split),
                config.model.context,
                config.train.batch,
                config.seed,
                jax.process_index(),
                jax.process_count(),
            )

        splits = rows_of("train"), rows_of("validation")
        return cls(*splits, sharding, config.train.eval_batches)

    def place(self, rows: np.ndarray) -> jax.Array:
        """This host's rows as its part of the global batch."""
        placed: jax.Array = jax.make_array_from_process_local_data(self.sharding, rows)
        return placed

    def ahead(self, first: int, last: int) -> Callable[[int], jax.Array]:
        """A function from step to batch, called in order; a thread reads ahead."""
        coming: Iterator[np.ndarray] = loader.prefetched(self.train.rows, first, last)
        return lambda step: self.place(next(coming))

    def held_out(self) -> Iterator[jax.Array]:
        for rows in loader.in_order(self.validation, self.batches):
            yield self.place(rows)
