"""Load a run: `load_run(path)` returns its trained model, for use in an analysis.

Loads parameters only, onto one device, whatever mesh they were trained on. Arguments
and results are NumPy arrays.
"""

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import model, nodes, taps
from sparsetx.config import ModelConfig, RunConfig
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.model import parameters, sparse_inference
from sparsetx.run import checkpoints, nonzeros
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal
from sparsetx.taps import BareFn, Tap
from sparsetx.tasks.pairs import Pairs
from sparsetx.tasks.score import Score, score

CONFIG = "config.json"
ENVIRONMENT = "environment.json"
TOKENIZER = "tokenizer.json"
METRICS = "metrics.jsonl"
ROWS = 256  # sequences scored per batch
Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Run:
    """The model of a run, at one of its saved steps."""

    path: Path
    config: RunConfig
    params: Mapping[str, Any]
    step: int

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        path = self.path / TOKENIZER
        if not path.is_file():
            raise Refusal(
                f"wanted the tokenizer of the run at {path}: there is none (a model "
                "imported without its encoder.json and vocab.bpe has no text)"
            )
        return Tokenizer.load(path)

    def logits(self, tokens_BL: Any, sparse: bool = False) -> npt.NDArray[np.float32]:
        """[B, L, V]. `sparse`: the same, at a cost that follows the weights that are
        not zero (on a CPU; where AbsTopK decides between values that are equal up to
        rounding, it may decide otherwise)."""
        if not sparse:
            return np.asarray(self.trace(tokens_BL, None)[0])
        config = self.config.model
        ids = model.check_tokens(config, check_ids(config, tokens_BL))
        return np.asarray(sparse_inference.logits(self._prepared, ids))

    @functools.cached_property
    def _prepared(self) -> sparse_inference.Prepared:
        return sparse_inference.prepare(self.config.model, self.params)

    def activations(self, tokens_BL: Any) -> dict[str, Array]:
        """{node site: [layer, B, L, width]}, after AbsTopK."""
        _, taken = self.trace(tokens_BL, taps.capture(nodes.NODE_SITES))
        return {site: np.asarray(x) for site, x in taken.items()}

    def attention(self, tokens_BL: Any) -> Array:
        """[layer, B, head, L, L]: how much each position (row) attends to others."""
        _, taken = self.trace(tokens_BL, taps.capture([nodes.ATTN_PATTERN]))
        return np.asarray(taken[nodes.ATTN_PATTERN])

    def trace(
        self,
        tokens_BL: Any,
        tap: Tap | BareFn | None,
    ) -> tuple[jax.Array, dict[str, Any]]:
        """Logits, and what the tap took."""
        return model.trace(
            self.config.model, self.params, check_ids(self.config.model, tokens_BL), tap
        )

    def score(self, pairs: Pairs) -> Score:
        """Loss and accuracy of the whole model on a task."""
        found = []
        last = _last_logits(self.config.model)
        for start in range(0, len(pairs.tokens_BL), ROWS):
            rows = slice(start, start + ROWS)
            ids = check_ids(self.config.model, pairs.tokens_BL[rows])
            found.append(np.asarray(last(self.params, ids, pairs.position_B[rows])))
        return score(pairs, np.concatenate(found))

    def generate(
        self, prompt: str, tokens: int = 64, temperature: float = 0.0, seed: int = 0
    ) -> str:
        """Text that the model generates after the prompt, until <|endoftext|>.

        Temperature 0 takes the most likely token. Of a prompt longer than the context,
        only the end is used.
        """
        context, eot = self.config.model.context, self.tokenizer.eot
        ids = [eot, *self.tokenizer.encode(prompt)]
        began = len(ids)
        last = _last_logits(self.config.model)
        rng = np.random.default_rng(seed)
        for _ in range(tokens):
            row = np.full((1, context), eot, np.int32)
            tail = ids[-context:]
            row[0, : len(tail)] = tail
            place = np.array([len(tail) - 1], np.int32)
            logits_V = np.asarray(last(self.params, row, place))[0, : eot + 1]
            chosen = _drawn(logits_V, temperature, rng)
            if chosen == eot:
                break
            ids.append(chosen)
        return self.tokenizer.decode(ids[began:])


def check_ids(model: ModelConfig, tokens_BL: Any) -> jax.Array:
    """Tokens as a JAX array; refuses ids that the embedding would clamp."""
    ids = np.asarray(tokens_BL)
    top = model.vocab_size - 1
    if ids.size and (ids.min() < 0 or ids.max() > top):
        raise Refusal(
            f"wanted token ids from 0 to {top}, got {ids.min()} to {ids.max()}: "
            "another tokenizer made them"
        )
    return jnp.asarray(ids)


def params_hash(params: Mapping[str, Any]) -> str:
    """A hash of every parameter's name, shape and bits."""
    digest = hashlib.sha256()
    for path, leaf in sorted(parameters.leaves(params), key=lambda item: item[0]):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{'/'.join(path)} {array.dtype} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def load_run(path: files.PathLike, step: int | None = None) -> Run:
    """The run at a path, at its last saved step or at the given step."""
    folder = files.place(path)
    config = load_config(folder)
    saved = checkpoints.steps(folder)
    if not saved and (folder / nonzeros.FILE).is_file():
        return _given_away(folder, config, step)
    if not saved:
        raise Refusal(
            f"wanted a trained model at {folder}: it has no checkpoint yet. Train it:\n"
            f"    sparsetx train {folder / CONFIG} --run {folder}"
        )
    if step is not None and step not in saved:
        known = ", ".join(map(str, saved))
        raise Refusal(f"{folder} has no checkpoint of step {step}; it has {known}")
    chosen = saved[-1] if step is None else step
    try:
        params = checkpoints.read_params(folder, chosen)
    except checkpoints.Damaged as damage:
        others = [s for s in saved if s != chosen]
        advice = f"; other steps: {others}" if others else ""
        raise Refusal(f"step {chosen} of {folder} is damaged: {damage}{advice}") from (
            damage
        )
    what = f"step {chosen} of {folder} does not fit {folder / CONFIG}"
    parameters.check_tree(config.model, params, what)
    return Run(folder, config, jax.tree.map(jnp.asarray, params), chosen)


def _given_away(folder: Path, config: RunConfig, step: int | None) -> Run:
    """A run that `export` has written."""
    params, own = nonzeros.read(folder, config.model)
    if step not in (None, own):
        raise Refusal(f"{folder} has no checkpoint of step {step}; it holds step {own}")
    return Run(folder, config, jax.tree.map(jnp.asarray, params), own)


def load_config(folder: files.PathLike) -> RunConfig:
    """The configuration of a run."""
    path = files.place(folder) / CONFIG
    if not path.is_file():
        raise Refusal(f"wanted a run at {folder}: {path} does not exist")
    what = f"{path} cannot be used"
    value = files.read_json(path, "a run's configuration")
    config = fields.from_json(RunConfig, value, what)
    parameters.check(config, what)
    return config


@functools.cache
def _last_logits(config: Any) -> Callable[..., jax.Array]:
    """The compiled function (one per model) for logits at one position of each row."""

    def at(params: Any, tokens_BL: jax.Array, position_B: jax.Array) -> jax.Array:
        logits_BLV = model.apply(config, params, tokens_BL)
        return jnp.take_along_axis(logits_BLV, position_B[:, None, None], 1)[:, 0]

    return jax.jit(at)


def _drawn(logits_V: Array, temperature: float, rng: np.random.Generator) -> int:
    if temperature <= 0:
        return int(np.argmax(logits_V))
    scaled_V = (logits_V - np.max(logits_V)) / temperature
    weights_V = np.exp(scaled_V.astype(np.float64))
    return int(rng.choice(len(weights_V), p=weights_V / weights_V.sum()))
