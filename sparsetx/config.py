"""The configuration of a run: one tree of frozen dataclasses.

Every default of the project is defined here and nowhere else. Defaults follow the
paper's main setting; where the paper and the authors' released training script differ,
the script's choice is the default and the field says so. `offences` lists all that is
wrong with a configuration; `model.parameters.check` adds what depends on the layout.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from sparsetx.system import fields
from sparsetx.system.fields import setting


@dataclass(frozen=True)
class ModelConfig:
    """The shape of the network (paper, section 2.1)."""

    vocab_size: int = setting(2048, "tokens of the vocabulary", at_least=2)
    context: int = setting(256, "tokens per sequence", at_least=1)
    n_layer: int = setting(8, "blocks", at_least=1)
    d_model: int = setting(2048, "channels of the residual", at_least=1)
    n_head: int = setting(128, "attention heads per block", at_least=1)
    d_head: int = setting(16, "channels per head", at_least=1)
    d_mlp: int = setting(8192, "neurons per block", at_least=1)
    activation: Literal["gelu", "relu"] = setting(
        "gelu", "of the neurons; gelu is exact"
    )
    residual: Literal["identity", "relu"] = setting(
        "identity", "what is applied to the residual after each write"
    )
    afrac: float | None = setting(
        0.25, "fraction kept by AbsTopK at each of its sites; null: none", 0, 1, above=0
    )
    afrac_sites: tuple[str, ...] = setting(
        (), "where AbsTopK acts; empty: the paper's eight sites of a block"
    )
    sink: bool = setting(False, "a learned attention slot without a value, per head")
    bigram: Literal["none", "random", "counts"] = setting(
        "none", "a [token, next] table added to the logits, and its initial values"
    )
    bigram_learned: bool = setting(True, "false: the table is not trained")
    positions: Literal["none", "added", "concatenated"] = setting(
        "none",
        "learned positions: added to the embedding, or concatenated to reads",
    )
    d_pos: int = setting(0, "channels of a concatenated position", at_least=0)
    final_bias: bool = setting(False, "a bias on the logits (released checkpoints)")
    compute: Literal["float32", "bfloat16"] = setting(
        "float32", "type of activations and matrix products; parameters are float32"
    )
    remat: bool = setting(False, "recompute each block in the backward pass")
    unroll: bool = setting(
        True, "on a CPU, compile layers one after another, not as a loop: faster steps"
    )
    kernels: bool = setting(
        True,
        "on a TPU, use kernels that keep what they compute in the core's memory; on a "
        "CPU, attention in pieces from 128 tokens on",
    )

    @property
    def d_attn(self) -> int:
        """Channels of all heads together."""
        return self.n_head * self.d_head

    @property
    def d_read(self) -> int:
        """Channels that attention and the MLP read, with concatenated positions."""
        return self.d_model + self.d_pos


@dataclass(frozen=True)
class SparsityConfig:
    """How many weights are kept (paper, section 2.2). Fraction 1: a dense model."""

    base: float = setting(
        0.25, "p: matrices of a block keep p/E², embeddings p/E, E = d_model/256",
        at_most=1, above=0,
    )  # fmt: skip
    block: float | None = setting(
        None, "kept fraction of a block's matrices; null: from base", at_most=1, above=0
    )
    embed: float | None = setting(
        None, "kept fraction of (un)embedding; null: from base", at_most=1, above=0
    )
    alive: int = setting(
        4, "weights that every neuron and channel keeps at least", at_least=0
    )
    biases: bool = setting(False, "project biases too (paper yes, script no)")
    anneal: Literal["linear", "exponential", "power"] = setting(
        "linear", "how the kept fraction falls"
    )
    anneal_power: float = setting(3.0, "exponent of the power law", above=0)
    anneal_start: float = setting(
        0.01, "part of the steps after which it starts to fall", 0, 1
    )
    anneal_end: float = setting(0.5, "part of the steps after which it is final", 0, 1)
    embed_schedule: Literal["gradual", "abrupt"] = setting(
        "gradual", "how the embeddings' fraction falls (script gradual, paper abrupt)"
    )

    def kept_block(self, d_model: int) -> float:
        """Final kept fraction of the matrices of a block."""
        expansion = d_model / 256
        return self.block or min(1.0, self.base / expansion**2)

    def kept_embed(self, d_model: int) -> float:
        """Final kept fraction of embedding and unembedding."""
        return self.embed or min(1.0, self.base / (d_model / 256))


@dataclass(frozen=True)
class OptimConfig:
    """Adam and its schedule (paper, appendix on training)."""

    lr: float = setting(
        1.28e-2, "peak learning rate, before the sharkfin factor", above=0
    )
    beta1: float = setting(0.9, "of Adam", 0, 1)
    beta2: float = setting(0.95, "of Adam", 0, 1)
    eps: float = setting(0.1, "of Adam", above=0)
    weight_decay: float = setting(0.1, "on matrices, after the projection", 0)
    warmup: float = setting(0.01, "part of the steps in which lr rises from 0", 0, 1)
    gradient: Literal["normalise", "clip"] = setting(
        "normalise",
        "divide by its RMS always (script), or only if it is above 1 (paper)",
    )
    sharkfin: bool = setting(True, "scale lr by sqrt(final / current kept fraction)")


@dataclass(frozen=True)
class DataConfig:
    """Which prepared tokens to train on."""

    name: str = setting("tinypython", "a corpus prepared by `sparsetx data prepare`")
    tokens: int = setting(
        10_000_000, "how many to prepare if tinypython is missing", 1000
    )
    path: str | None = setting(None, "its folder; null: NAME-VOCAB in the data folder")


@dataclass(frozen=True)
class TrainConfig:
    """How long to train, how often to evaluate, log and save, and what to keep."""

    steps: int = setting(10_000, "optimiser steps", at_least=1)
    batch: int = setting(512, "sequences per step", at_least=1)
    accumulate: int = setting(
        1, "parts in which a batch is computed, one after another", at_least=1
    )
    eval_every: int = setting(500, "steps between evaluations", at_least=1)
    eval_batches: int = setting(8, "batches of the validation split", at_least=1)
    log_every: int = setting(10, "steps between rows of metrics.jsonl", at_least=1)
    save_every: int = setting(
        1000,
        "steps between checkpoints; a kill loses no more than these, and the steps "
        "that are done in the time of one save",
        at_least=1,
    )
    keep_last: int = setting(2, "checkpoints to keep", at_least=1)
    keep_every: int | None = setting(
        None, "checkpoints at multiples of it are never deleted", 1
    )
    bad_steps: int = setting(
        20, "non-finite steps in a row after which the run ends", 1
    )
    tensorboard: bool = setting(False, "also write the metrics for TensorBoard")
    wandb: str | None = setting(None, "also send the metrics to this W&B project")
    profile_at: int | None = setting(None, "step at which a profile begins", 0)
    profile_steps: int = setting(5, "steps that the profile lasts", at_least=1)


@dataclass(frozen=True)
class MeshConfig:
    """How devices are arranged: data x fsdp."""

    data: int | None = setting(None, "batch shards; null: all remaining devices", 1)
    fsdp: int = setting(1, "shards of each matrix, along its neurons", at_least=1)


@dataclass(frozen=True)
class RunConfig:
    """The whole configuration of a run."""

    seed: int = setting(0, "of initial weights and the order of the data", 0)
    model: ModelConfig = field(default_factory=ModelConfig)
    sparsity: SparsityConfig = field(default_factory=SparsityConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    mesh: MeshConfig = field(default_factory=MeshConfig)


def offences(run: RunConfig) -> Iterator[str]:
    """All errors of a run's configuration that need no knowledge of the layout."""
    yield from fields.offences(run)
    yield from model_rules(run.model, "model.")
    start, end = run.sparsity.anneal_start, run.sparsity.anneal_end
    if start >= end:
        yield (
            f"sparsity.anneal_end = {end}: wanted more than "
            f"sparsity.anneal_start = {start}"
        )
    shards = run.train.accumulate * (run.mesh.data or 1) * run.mesh.fsdp
    if run.train.batch % shards:
        yield (
            f"train.batch = {run.train.batch}: wanted a multiple of {shards} "
            "(train.accumulate x mesh.data x mesh.fsdp)"
        )
    if run.model.d_model % run.mesh.fsdp:
        yield (
            f"mesh.fsdp = {run.mesh.fsdp}: wanted a divisor of "
            f"model.d_model = {run.model.d_model}"
        )


def model_rules(model: ModelConfig, prefix: str = "") -> Iterator[str]:
    """Rules between the fields of a model."""
    concatenated = model.positions == "concatenated"
    if concatenated != (model.d_pos > 0):
        wanted = "1 or more" if concatenated else "0"
        yield (
            f"{prefix}d_pos = {model.d_pos}: wanted {wanted}, "
            f"since {prefix}positions = {fields.shown(model.positions)}"
        )
