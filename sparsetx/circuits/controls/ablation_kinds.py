"""Control: is the circuit good only under the ablation it was searched with?

mean      other nodes have their mean over the pretraining distribution
zero      other nodes are zero, also the constants that a circuit may depend on
together  resampled: all other nodes have their values on one other prompt
apart     resampled: each other node has its value on another prompt of its own, which
          separates nodes outside the circuit that act together
text      resampled together, from running text instead of prompts of the task, where
          the tokens of the run are here: nodes that say the same in all prompts of the
          task are among the others too, and fail only here
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import taps
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import (
    Evidence,
    loss_of,
    losses_of,
    masked,
    right_of,
    stacked,
)
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

DRAWS = 8


def ablation_kinds(evidence: Evidence) -> Entry:
    zeros = {site: jnp.zeros_like(x) for site, x in evidence.keep.items()}
    once = stacked([evidence.keep])
    margins = {
        "mean": evidence.cut[None],
        "zero": evidence.margins(masked, zeros, once, ""),
        "together": _resampled(evidence, _together, evidence.activations),
        "apart": _resampled(evidence, _apart, evidence.activations),
    }
    if evidence.on_text is not None:
        margins["text"] = _resampled(evidence, _together, evidence.on_text)
    losses = {kind: float(losses_of(m).mean()) for kind, m in margins.items()}
    right = {kind: float(right_of(m).mean()) for kind, m in margins.items()}
    moved = max(losses["together"], losses["apart"])
    on_text = losses.get("text")
    text = "" if on_text is None else f", {on_text:.3f} with values of running text"
    verdict = thresholds.worst(
        thresholds.LOSS.verdict(moved / evidence.target),
        thresholds.AT_ZERO.verdict(right["zero"]),
    )
    figures = {"loss, the worse of two resampled": moved}
    figures |= {f"loss, {kind}": x for kind, x in losses.items()}
    figures |= {f"accuracy, {kind}": x for kind, x in right.items()}
    return Entry(
        thresholds.ABLATION_KINDS,
        verdict,
        f"The loss is {losses['mean']:.3f} under mean ablation, "
        f"{losses['together']:.3f} with other nodes resampled together, "
        f"{losses['apart']:.3f} with each resampled apart{text}; under zero ablation "
        f"{100 * right['zero']:.0f}% of answers are right.",
        figures,
        {"whole model": loss_of(evidence.whole)},
        {"draws": DRAWS},
    )


def _resampled(evidence: Evidence, kind: Any, values: Nodes) -> Any:
    shared = evidence.keep, values
    keys = jax.random.split(jax.random.key(evidence.search.seed), DRAWS)
    data = np.asarray(jax.random.key_data(keys))
    stage = f"{thresholds.ABLATION_KINDS}, {kind.__name__.strip('_')}"
    return evidence.margins(kind, shared, data, stage)


def _together(shared: tuple[Nodes, Nodes], key: jax.Array) -> Tap:
    keep, values = shared
    rows = next(iter(values.values())).shape[-3]
    order_B = jax.random.permutation(jax.random.wrap_key_data(key), rows)
    return taps.mix(
        keep, {s: jnp.take(x, order_B, axis=x.ndim - 3) for s, x in values.items()}
    )


def _apart(shared: tuple[Nodes, Nodes], key: jax.Array) -> Tap:
    """For every node, the prompts are rotated by an amount of its own."""
    keep, values = shared
    new, own = {}, jax.random.wrap_key_data(key)
    for i, (site, x) in enumerate(sorted(values.items())):
        rows = x.shape[-3]
        turn = jax.random.randint(
            jax.random.fold_in(own, i), (*x.shape[:-3], x.shape[-1]), 0, rows
        )
        row = jax.lax.broadcasted_iota(jnp.int32, x.shape, x.ndim - 3)
        place = (row + jnp.broadcast_to(turn[..., None, None, :], x.shape)) % rows
        new[site] = jnp.take_along_axis(x, place, axis=-3)
    return taps.mix(keep, new)
