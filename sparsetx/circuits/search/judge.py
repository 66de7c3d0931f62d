"""The loss by which masks are compared while a circuit is cut: many masks at once.

Plain, it is that under mean ablation. Honest, it is the worse of two, both with frozen
norms: mean ablation, and the mean over stochastic ablations in which every pair of
prompts has a draw of its own. H itself wants own norms too, and the 95th percentile of
a hundred draws: `figures` asks for that, of the few masks that matter.

All losses come of one program, of one mask under one kind of ablation.

Departure: it is the mean over pairs and one standard error more, so that the target
tends to hold on prompts that no search has seen.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.measure import ablations, questions
from sparsetx.circuits.measure.questions import Task
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Nodes

DRAWS = 100  # of the stochastic ablation behind a verdict
STORM = 8  # of them at a time
Masks = npt.NDArray[np.bool_]  # [N, node], flat in the order of nodes.flatten


class Kind(NamedTuple):
    """Of ablation: 0 or 1 each, as numbers, so that one program serves all."""

    frozen: float  # norms as in the whole model
    drawn: float  # stochastic


MEAN, FROZEN, STOCHASTIC = Kind(0.0, 0.0), Kind(1.0, 0.0), Kind(1.0, 1.0)


class Draws(NamedTuple):
    """A draw of stochastic ablation for every pair of a pool."""

    key_P2: npt.NDArray[np.uint32]
    smooth_P: npt.NDArray[np.bool_]


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
    def kinds(self) -> tuple[Kind, ...]:
        """The ablations whose worst is the loss."""
        return (FROZEN, STOCHASTIC) if self.honest else (MEAN,)

    def __call__(self, masks: Masks) -> npt.NDArray[np.float32]:
        """[N] losses of [N, node] masks."""
        each = np.stack([self.under(kind, masks) for kind in self.kinds])
        worst: npt.NDArray[np.float32] = each.max(0)
        return worst

    def one(self, mask: npt.NDArray[np.bool_]) -> float:
        """The loss of one mask."""
        return float(self(mask[None])[0])

    def under(self, kind: Kind, masks: Masks) -> npt.NDArray[np.float32]:
        """[N] losses under one of the ablations."""
        count = len(masks)
        draws = [self._apart] * count
        return self._losses([kind] * count, self.tree(masks), draws)

    def worst(self, mask: npt.NDArray[np.bool_]) -> Kind:
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
        calm = self._losses(
            [MEAN, FROZEN], nodes.repeated(keep, 2), [self._apart] * 2, errors
        )
        found = {"mean": float(calm[0]), "frozen": float(calm[1])}
        drawn = np.zeros(0)
        while len(drawn) < draws and (not len(drawn) or max(found.values()) <= enough):
            drawn = np.append(drawn, self._storm(keep, len(drawn), errors))[:draws]
            above = int((drawn > enough).sum())
            if above > 1 + 0.05 * (draws - 1):  # and so is the 95th percentile
                break
        found["stochastic"] = float(np.percentile(drawn, 95))
        found["stochastic_mean"] = float(np.mean(drawn))
        return found | {"H": float(ablations.honest_loss(found))}

    def _storm(self, keep: Nodes, first: int, errors: float) -> Any:
        """Losses under the next few draws of stochastic ablation, each shared by all
        pairs."""
        number = first + np.arange(STORM)
        pairs = len(self._apart.smooth_P)
        each = [
            Draws(np.tile(key, (pairs, 1)), np.full(pairs, n % 2 == 0))
            for key, n in zip(_keys(self.seed, number), number, strict=True)
        ]
        return self._losses(
            [STOCHASTIC] * STORM, nodes.repeated(keep, STORM), each, errors
        )

    @functools.cached_property
    def _apart(self) -> Draws:
        """A draw of its own for every pair, the same for all masks."""
        pair_P = np.arange(len(self.task.asked) // 2)
        return Draws(_keys(self.seed, pair_P), pair_P % 2 == 0)

    def _losses(
        self,
        kinds: Sequence[Kind],
        keep: Nodes,
        draws: Sequence[Draws],
        errors: float = 1.0,
    ) -> npt.NDArray[np.float32]:
        """[N] losses, each of a mask {site: [N, …]}, a kind and draws of its own: one
        on each device at a time."""
        devices = tuple(jax.local_devices())
        program = _program(self.config, devices)
        each = jax.tree.map(lambda *x: np.stack(x), *zip(kinds, draws, strict=True))
        found = []
        for rows in mesh.portions(len(kinds), len(devices)):
            own = jax.tree.map(lambda x, rows=rows: x[rows], (keep, *each))
            given = errors, self.params, self.means, self.task
            found.append(np.asarray(program(*given, *own)))
        return np.concatenate(found)[: len(kinds)]

    def slopes(
        self, mask: npt.NDArray[np.bool_], kind: Kind | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[node] d loss / d mask, with the mask as it is, and the loss: under one of
        the ablations, or the worst."""
        kind = self.worst(mask) if kind is None else kind
        loss, tree = _slopes(
            self.config, self.params, self.means, self.task,
            self.tree_of(mask), kind, self._apart,
        )  # fmt: skip
        numbers = {site: np.asarray(x) for site, x in tree.items()}
        return nodes.flatten(self.config, numbers, self.sites), np.asarray(loss)


def loss(
    config: ModelConfig,
    errors: Any,
    params: Any,
    means: Nodes,
    task: Task,
    keep: Nodes,
    kind: Kind,
    draws: Draws,
) -> jax.Array:
    """Of one mask under one of the ablations."""

    def draw(key: Any, smooth: Any) -> Nodes:
        return ablations.drawn_amounts(keep, jax.random.wrap_key_data(key), smooth)

    each = jax.vmap(draw)(draws.key_P2, draws.smooth_P)  # [pair, layer, width]
    amount = {
        site: jnp.repeat(jnp.moveaxis(x, 0, -2), 2, -2)[..., None, :]
        for site, x in each.items()
    }
    frozen_B, drawn_B = (jnp.full(len(task.asked), x, jnp.float32) for x in kind)
    tap = ablations.by_kind(keep, means, task.scales, amount, frozen_B, drawn_B)
    margin_B = ablations.margins(config, params, task.asked, tap)
    return questions.upper_loss_of(margin_B, errors)


@functools.cache
def _program(config: ModelConfig, devices: tuple[jax.Device, ...]) -> Any:
    """Losses of masks, one on each device."""

    def all_of(
        errors: Any, params: Any, means: Nodes, task: Task, *lanes: Any
    ) -> jax.Array:
        def one(own: Any) -> jax.Array:
            return loss(config, errors, params, means, task, *own)

        return jnp.asarray(jax.lax.map(one, lanes))

    return mesh.OverLanes(all_of, devices, whole=4)


@functools.partial(jax.jit, static_argnums=0)
def _slopes(
    config: ModelConfig,
    params: Any,
    means: Nodes,
    task: Task,
    keep: Nodes,
    kind: Kind,
    draws: Draws,
) -> tuple[jax.Array, Nodes]:
    def of(keep: Nodes) -> jax.Array:
        return loss(config, 1.0, params, means, task, keep, kind, draws)

    found: tuple[jax.Array, Nodes] = jax.value_and_grad(of)(keep)
    return found


def _keys(seed: int, number_N: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """[N, 2] of a seed, as numbers."""
    return np.asarray(_folded(jax.random.key(seed), number_N))


@jax.jit
def _folded(key: jax.Array, number_N: jax.Array) -> jax.Array:
    each = jax.vmap(functools.partial(jax.random.fold_in, key))(number_N)
    return jax.random.key_data(each)
