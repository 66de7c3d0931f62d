"""The loss by which masks are compared while a circuit is cut: many masks at once.

Plain, it is that under mean ablation. Honest, it is the worse of two, both with frozen
norms: mean ablation, and the mean over stochastic ablations in which every pair of
prompts has a draw of its own. H itself wants own norms too, and the 95th percentile of
a hundred draws: `figures` asks for that, of the few masks that matter.

Departure: it is the mean over pairs and one standard error more, so that the target
tends to hold on prompts that no search has seen.
"""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import mesh, nodes, taps
from sparsetx.circuits import ablate, question
from sparsetx.circuits.search import Task
from sparsetx.config import ModelConfig
from sparsetx.nodes import Nodes

DRAWS = 100  # of the stochastic ablation behind a verdict
STORM = 8  # of them at a time
Masks = npt.NDArray[np.bool_]  # [N, node], flat in the order of nodes.flatten


@dataclass(frozen=True, eq=False)
class Judge:
    config: ModelConfig
    params: Any
    means: Nodes
    task: Task
    honest: bool
    seed: int = 0

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(
            site for site in (*nodes.NODE_SITES, nodes.FINAL) if site in self.means
        )

    @property
    def kinds(self) -> tuple[float, ...]:
        """The ablations whose worst is the loss: 0 is mean ablation, 1 a stochastic."""
        return (0.0, 1.0) if self.honest else (0.0,)

    def __call__(self, masks: Masks) -> npt.NDArray[np.float32]:
        """[N] losses of [N, node] masks."""
        each = np.stack([self.under(kind, masks) for kind in self.kinds])
        worst: npt.NDArray[np.float32] = each.max(0)
        return worst

    def one(self, mask: npt.NDArray[np.bool_]) -> float:
        """The loss of one mask."""
        return float(self(mask[None])[0])

    def under(self, kind: float, masks: Masks) -> npt.NDArray[np.float32]:
        """[N] losses under one of the ablations."""
        devices = tuple(jax.local_devices())
        program = _program(self.config, self.honest, devices)
        given = kind, self.params, self.means, self.task, jax.random.key(self.seed)
        found = []
        for first in range(0, len(masks), len(devices)):
            place = np.minimum(np.arange(first, first + len(devices)), len(masks) - 1)
            found.append(np.asarray(program(*given, self.tree(masks[place]))))
        return np.concatenate(found)[: len(masks)]

    def worst(self, mask: npt.NDArray[np.bool_]) -> float:
        """The ablation under which the loss of a mask is largest."""
        if len(self.kinds) == 1:
            return self.kinds[0]
        return max(self.kinds, key=lambda kind: self.under(kind, mask[None])[0])

    def tree(self, masks: Masks) -> Nodes:
        """{site: [N, layer, width]} of zeros and ones."""
        each = [self.tree_of(mask) for mask in masks]
        return {site: np.stack([tree[site] for tree in each]) for site in self.sites}

    def tree_of(self, mask: npt.NDArray[np.bool_]) -> dict[str, np.ndarray]:
        return nodes.unflatten(self.config, mask.astype(np.float32), self.sites)

    def figures(
        self,
        keep: Nodes,
        draws: int = DRAWS,
        errors: float = 0.0,
        enough: float = np.inf,
    ) -> dict[str, float]:
        """The figures behind H, and H, by the definition; or of losses with so many
        standard errors more, as circuits are chosen. Once it is certain that H is above
        `enough`, no more is drawn: H is then that of the draws so far."""
        mean, frozen = _calm(
            self.config, errors, self.params, self.means, self.task, keep
        )
        found = {"mean": float(mean), "frozen": float(frozen)}
        drawn = np.zeros(0)
        while len(drawn) < draws and (not len(drawn) or max(found.values()) <= enough):
            drawn = np.append(drawn, self._storm(keep, len(drawn), errors))[:draws]
            above = int((drawn > enough).sum())
            if above > 1 + 0.05 * (draws - 1):  # and so is the 95th percentile
                break
        found["stochastic"] = float(np.percentile(drawn, 95))
        found["stochastic_mean"] = float(np.mean(drawn))
        return found | {"H": float(ablate.honest_loss(found))}

    def _storm(self, keep: Nodes, first: int, errors: float) -> Any:
        """Losses under the next few draws of stochastic ablation: as many whatever the
        number of devices, so that `figures` stops at the same one."""
        devices = tuple(jax.local_devices())
        wide = -(-STORM // len(devices)) * len(devices)
        number = first + np.arange(wide)
        keys = _keys(jax.random.key(self.seed), number)
        program = _storm(self.config, devices)
        given = errors, self.params, self.means, self.task, keep
        return np.asarray(program(*given, keys, number % 2 == 0))[:STORM]

    def slopes(
        self, mask: npt.NDArray[np.bool_], kind: float | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[node] d loss / d mask, with the mask as it is, and the loss: under one of
        the ablations, or the worst."""
        kind = self.worst(mask) if kind is None else kind
        loss, tree = _slopes(
            self.config, self.honest, kind, self.params, self.means, self.task,
            jax.random.key(self.seed), self.tree_of(mask),
        )  # fmt: skip
        numbers = {site: np.asarray(x) for site, x in tree.items()}
        return nodes.flatten(self.config, numbers, self.sites), np.asarray(loss)


def loss(
    config: ModelConfig,
    honest: bool,
    kind: Any,
    params: Any,
    means: Nodes,
    task: Task,
    key: jax.Array,
    keep: Nodes,
) -> jax.Array:
    """Of one mask under one of the ablations."""
    ask = functools.partial(ablate.margins, config, params, task.asked)
    if not honest:
        return question.upper_loss_of(ask(ablate.mean(keep, means)))
    tap = taps.mix(_drawn(task, keep, key, kind), means)
    return question.upper_loss_of(ask(tap, task.scales))


def _drawn(task: Task, keep: Nodes, key: jax.Array, drawn: jax.Array) -> Nodes:
    """Amounts of a stochastic ablation with a draw for every pair, if `drawn` is 1;
    of mean ablation if it is 0."""
    rows = task.asked.tokens_BL.shape[0]
    pair_P = jnp.arange(rows // 2)

    def draw(n: jax.Array) -> Nodes:
        return ablate.drawn_amounts(keep, jax.random.fold_in(key, n), n % 2 == 0)

    each = jax.vmap(draw)(pair_P)
    amount = {
        site: jnp.repeat(jnp.moveaxis(x, 0, -2), 2, -2)[..., None, :]
        for site, x in each.items()
    }
    return ablate.by_row(keep, amount, jnp.full(rows, drawn))


@functools.cache
def _program(config: ModelConfig, honest: bool, devices: tuple[jax.Device, ...]) -> Any:
    """Losses of masks, one on each device."""

    def all_of(*given: Any) -> jax.Array:
        *whole, masks = given
        one = functools.partial(loss, config, honest, *whole)
        return jnp.asarray(jax.lax.map(one, masks))

    return mesh.OverLanes(all_of, devices, whole=5)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _slopes(
    config: ModelConfig,
    honest: bool,
    kind: Any,
    params: Any,
    means: Nodes,
    task: Task,
    key: jax.Array,
    keep: Nodes,
) -> tuple[jax.Array, Nodes]:
    one = functools.partial(loss, config, honest, kind, params, means, task, key)
    found: tuple[jax.Array, Nodes] = jax.value_and_grad(one)(keep)
    return found


@jax.jit
def _keys(key: jax.Array, number_N: jax.Array) -> jax.Array:
    return jax.vmap(functools.partial(jax.random.fold_in, key))(number_N)


@functools.partial(jax.jit, static_argnums=0)
def _calm(
    config: ModelConfig,
    errors: Any,
    params: Any,
    means: Nodes,
    task: Task,
    keep: Nodes,
) -> tuple[jax.Array, jax.Array]:
    """Losses under mean ablation, and under it with frozen norms."""
    ask = functools.partial(ablate.margins, config, params, task.asked)
    loss_of = functools.partial(question.upper_loss_of, errors=errors)
    tap = ablate.mean(keep, means)
    return loss_of(ask(tap)), loss_of(ask(tap, task.scales))


@functools.cache
def _storm(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    """Losses of draws of stochastic ablation, with frozen norms."""

    def losses(
        errors: Any, params: Any, means: Nodes, task: Task, keep: Nodes, *draws: Any
    ) -> jax.Array:
        def one(which: tuple[jax.Array, jax.Array]) -> jax.Array:
            tap = ablate.stochastic(keep, means, ablate.drawn_amounts(keep, *which))
            margin_B = ablate.margins(config, params, task.asked, tap, task.scales)
            return question.upper_loss_of(margin_B, errors)

        return jnp.asarray(jax.lax.map(one, draws))

    return mesh.OverLanes(losses, devices, whole=5)
