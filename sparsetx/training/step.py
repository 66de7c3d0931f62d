"""Training: the step, and the loop around it (section 2.2).

The step is one pure function, the same for sparse and dense models, on one device or
on a pod: loss and gradient, optimiser, projection, decay. A step whose loss or gradient
is not finite changes no parameter and is counted.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import serialization

from sparsetx import model, nodes, projection, taps
from sparsetx.config import RunConfig
from sparsetx.model import mesh as meshes
from sparsetx.model import parameters
from sparsetx.training.optimiser import gradient_rms, make_optimiser, rate


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class State:
    """All that a run carries from step to step, and all that a checkpoint holds."""

    step: jax.Array  # batches seen
    params: dict[str, Any]
    optimiser: Any
    skipped: jax.Array  # steps that were not finite, in all
    bad: jax.Array  # and in a row, until now


def init_state(run: RunConfig, params: dict[str, Any]) -> State:
    """Step 0 of a run that starts from these parameters."""
    # Three arrays, not one three times: the step gives each buffer away.
    step, skipped, bad = (jnp.zeros((), jnp.int32) for _ in range(3))
    return State(step, params, make_optimiser(run).init(params), skipped, bad)


def as_tree(state: State) -> dict[str, Any]:
    """The state as nested dicts of arrays: what a checkpoint holds."""
    fields = [field.name for field in dataclasses.fields(State)]
    tree: dict[str, Any] = {
        name: serialization.to_state_dict(getattr(state, name)) for name in fields
    }
    return tree


def from_tree(like: State, tree: Mapping[str, Any]) -> State:
    """The state that such a tree holds; `like` lends its structure, not its values."""
    return State(
        **{
            name: serialization.from_state_dict(getattr(like, name), branch)
            for name, branch in tree.items()
        }
    )


def loss(run: RunConfig, params: Any, rows_BL1: jax.Array) -> jax.Array:
    """Mean cross-entropy of the next token, in nats; rows hold one token more."""
    logits_BLV = model.apply(run.model, params, rows_BL1[:, :-1])
    target_BL = rows_BL1[:, 1:]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits_BLV, target_BL)
    return jnp.mean(losses)


def train_step(
    run: RunConfig, state: State, rows_BL1: jax.Array
) -> tuple[State, dict[str, jax.Array]]:
    """One update: gradient, optimiser, projection onto the budget, decay."""
    value, gradient = loss_and_gradient(run, state.params, rows_BL1)
    updates, optimiser = make_optimiser(run).update(
        gradient, state.optimiser, state.params
    )
    params = optax.apply_updates(state.params, updates)

    rms = gradient_rms(gradient)
    fine = jnp.isfinite(value) & jnp.isfinite(rms)
    params = _choose(fine, params, state.params)
    optimiser = _choose(fine, optimiser, state.optimiser)

    t = (state.step + 1) / run.train.steps
    lr = rate(run, state.step + 1)
    params = projection.project(run, params, t)
    params = decayed(run, params, jnp.where(fine, lr, 0.0))

    missed = (~fine).astype(jnp.int32)
    bad = (state.bad + missed) * missed
    new = State(state.step + 1, params, optimiser, state.skipped + missed, bad)
    kept = projection.kept_share(run, t)
    return new, {"loss": value, "gradient_rms": rms, "lr": lr, "kept": kept, "bad": bad}


def loss_and_gradient(
    run: RunConfig, params: Any, rows_BL1: jax.Array
) -> tuple[jax.Array, Any]:
    """Over the whole batch at once, or part by part where memory is short."""
    one = jax.value_and_grad(functools.partial(loss, run))
    parts = run.train.accumulate
    if parts == 1:
        value, gradient = one(params, rows_BL1)
        return value, gradient
    split = rows_BL1.reshape(parts, -1, rows_BL1.shape[-1])

    def add(total: Any, rows_BL1: jax.Array) -> tuple[Any, None]:
        found = one(params, meshes.spread(rows_BL1))
        return jax.tree.map(jnp.add, total, found), None

    zero = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    total, _ = jax.lax.scan(add, zero, split)
    value, gradient = jax.tree.map(lambda x: x / parts, total)
    return value, gradient


def decayed(run: RunConfig, params: Any, lr: jax.Array) -> dict[str, Any]:
    """Matrices shrink a little, after the projection; vectors and tables do not."""
    factor = 1.0 - lr * run.optim.weight_decay
    found = dict(parameters.leaves(params))
    matrices = [p.path for p in parameters.table(run.model) if p.kind == "matrix"]
    return parameters.replaced(
        params, {path: found[path] * factor for path in matrices}
    )


def eval_step(run: RunConfig, params: Any, rows_BL1: jax.Array) -> dict[str, jax.Array]:
    """Of one batch: its loss in nats, and how heavy-tailed the last residual is."""
    tap = taps.capture([nodes.FINAL])
    logits_BLV, taken = model.trace(run.model, params, rows_BL1[:, :-1], tap)
    losses = optax.softmax_cross_entropy_with_integer_labels(
        logits_BLV, rows_BL1[:, 1:]
    )
    kurtosis = jnp.mean(_kurtosis(taken[nodes.FINAL]))
    return {"validation_loss": jnp.mean(losses), "residual_kurtosis": kurtosis}


def _kurtosis(x_BLD: jax.Array) -> jax.Array:
    """Over channels: 3 for a normal residual, d_model for one where one channel is all.

    It rises as a sparse model moves what it knows onto single channels.
    """
    x_BLD = x_BLD - jnp.mean(x_BLD, -1, keepdims=True)
    square_BL = jnp.mean(jnp.square(x_BLD), -1)
    return jnp.mean(x_BLD**4, -1) / (jnp.square(square_BL) + 1e-30)


def _choose(fine: jax.Array, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, old)
