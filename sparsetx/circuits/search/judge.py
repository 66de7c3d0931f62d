"""The judge: the loss by which a search compares masks, computed for many at once.

For plain circuits it is the loss under mean ablation. For honest ones it is the larger
of two losses, both with frozen norms: under mean ablation, and the mean over stochastic
ablations in which every pair of prompts has its own draw. H by its definition also
includes norms that are not frozen, and the 95th percentile of a hundred draws;
`figures` computes it, for the few masks that may be chosen. For faithful circuits two
more losses count, with nodes resampled together and apart, and F includes them.

One program computes the losses under all kinds but resampling, each of one mask under
one kind of ablation; another, those under both resamplings.

Departure from the paper: the loss is the mean over pairs plus one standard error, so
that prompts not used in the search tend to reach the target too.
"""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sparsetx import nodes, taps
from sparsetx.circuits.measure import ablations, donors, questions
from sparsetx.circuits.measure.questions import Task
from sparsetx.config import ModelConfig
from sparsetx.model import mesh
from sparsetx.nodes import Nodes
from sparsetx.taps import Tap

DRAWS = 100  # of an ablation that is drawn at random, behind a verdict
AT_ONCE = 8  # draws in one call
PAIRS = 2  # where the losses of single pairs begin in what a program returns
Masks = npt.NDArray[np.bool_]  # [N, node], flat in the order of nodes.flatten


class Kind(NamedTuple):
    """A kind of ablation as numbers, 0 or 1 each, so that few programs do all."""

    frozen: float  # frozen norms
    drawn: float  # stochastic ablation
    moved: float = 0.0  # resampled: 1 together, 2 apart


MEAN, FROZEN, STOCHASTIC = Kind(0.0, 0.0), Kind(1.0, 0.0), Kind(1.0, 1.0)
TOGETHER, APART = Kind(0.0, 0.0, 1.0), Kind(0.0, 0.0, 2.0)
RESAMPLED = {"together": TOGETHER, "apart": APART}


class Draws(NamedTuple):
    """A draw of stochastic ablation for every pair of a pool, and a donor for every
    row."""

    key_P2: npt.NDArray[np.uint32]
    smooth_P: npt.NDArray[np.bool_]
    donor_B: npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Judge:
    config: ModelConfig
    params: Any
    means: Nodes
    task: Task
    honest: bool
    seed: int = 0
    faithful: bool = False

    @property
    def sites(self) -> tuple[str, ...]:
        return tuple(
            site for site in (*nodes.NODE_SITES, nodes.FINAL) if site in self.means
        )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of ablation of which the worst is the loss. Of equal losses the
        first counts as the worst: what prompts of the task have in common costs nothing
        when it is resampled, and would be removed."""
        if self.faithful:
            return (FROZEN, STOCHASTIC, TOGETHER, APART)
        return (FROZEN, STOCHASTIC) if self.honest else (MEAN,)

    def __call__(self, masks: Masks, enough: float = np.inf) -> npt.NDArray[np.float32]:
        """[N] losses of [N, node] masks. One that is above `enough` under one kind of
        ablation is not measured under the others: its loss is then a lower bound.
        The last kind is the worst most often, and comes first."""
        worst = np.full(len(masks), -np.inf, np.float32)
        for kind in reversed(self.kinds):
            left = np.flatnonzero(worst <= enough)
            if len(left):
                worst[left] = np.maximum(worst[left], self.under(kind, masks[left]))
        return worst

    def one(self, mask: npt.NDArray[np.bool_], enough: float = np.inf) -> float:
        """The loss of one mask; if it is above `enough`, a lower bound."""
        return float(self(mask[None], enough)[0])

    def under(self, kind: Kind, masks: Masks) -> npt.NDArray[np.float32]:
        """[N] losses under one kind of ablation."""
        count = len(masks)
        draws = [self._apart] * count
        return self._losses([kind] * count, self.tree(masks), draws)

    def worst(self, mask: npt.NDArray[np.bool_]) -> Kind:
        """The kind of ablation under which the loss of a mask is largest."""
        if len(self.kinds) == 1:
            return self.kinds[0]
        return max(self.kinds, key=lambda kind: self.under(kind, mask[None])[0])

    def tree(self, masks: Masks) -> Nodes:
        """{site: [N, layer, width]} of zeros and ones."""
        each = [self.tree_of(mask) for mask in masks]
        return {site: np.stack([tree[site] for tree in each]) for site in self.sites}

    def tree_of(self, mask: npt.NDArray[Any]) -> dict[str, np.ndarray]:
        return nodes.unflatten(self.config, mask.astype(np.float32), self.sites)

    def figures(
        self,
        keep: Nodes,
        draws: int = DRAWS,
        errors: float = 0.0,
        enough: float = np.inf,
    ) -> dict[str, float]:
        """H by its definition, and the figures it is computed from; all losses with
        `errors` standard errors added. Where there are donors, also F and its figures.
        Once the worst is certain to be above `enough`, drawing stops, and the figures
        are those of the draws so far. "worst" is the one by which circuits of the kind
        that is searched are chosen: F, H, or the loss under mean ablation."""
        undrawn = self._losses(
            [MEAN, FROZEN], nodes.repeated(keep, 2), [self._apart] * 2, errors
        )
        found = {"mean": float(undrawn[0]), "frozen": float(undrawn[1])}
        drawn = {"stochastic": STOCHASTIC}
        if self.task.donors is not None:
            drawn |= RESAMPLED
        for name, kind in drawn.items():
            held = enough if self.faithful or name == "stochastic" else np.inf
            if max(found.values()) > held:
                continue  # the worst is known to be too large
            few = -(-draws // 2) if name in RESAMPLED and draws < DRAWS else draws
            losses = self._drawn(kind, keep, few, errors, held)
            found[name] = float(np.percentile(losses, 95))
            found[f"{name}_mean"] = float(np.mean(losses))
        parts = {k: x for k, x in found.items() if not k.endswith("_mean")}
        found["F"] = max(parts.values())
        found["H"] = max(x for k, x in parts.items() if k not in RESAMPLED)
        worst = "F" if self.faithful else "H" if self.honest else "mean"
        return found | {"worst": found[worst]}

    def _drawn(
        self, kind: Kind, keep: Nodes, draws: int, errors: float, enough: float
    ) -> npt.NDArray[Any]:
        """[draw] losses, as many as asked for, or until the 95th percentile is certain
        to be above `enough`. A draw of stochastic ablation is shared by all pairs."""
        found: npt.NDArray[Any] = np.zeros(0)
        while len(found) < draws and (found > enough).sum() <= 1 + 0.05 * (draws - 1):
            each = [self._draw(len(found) + n) for n in range(AT_ONCE)]
            copies = nodes.repeated(keep, AT_ONCE)
            now = self._losses([kind] * AT_ONCE, copies, each, errors, len(found))
            found = np.append(found, now)[:draws]
        return found

    def _given(self, kind: Kind, turn: int) -> Task:
        """The task with the donors of a kind of ablation, none where it takes none:
        they would be carried along for nothing. Those apart are turned once for many
        masks or draws: rows of a draw have donors of their own anyway."""
        if not kind.moved or self.task.donors is None:
            return self._undonated
        if kind.moved != APART.moved:
            return self._donated
        if turn not in self._turned:
            self._turned.clear()  # one at a time: they take as much room as a batch
            (key,) = _keys(self.seed, np.array([turn]))
            turned = _apart(self.task.donors, key)
            self._turned[turn] = dataclasses.replace(self._donated, donors=turned)
        return self._turned[turn]

    @functools.cached_property
    def _turned(self) -> dict[int, Task]:
        return {}

    # Laid out on the devices once, not in every call.
    @functools.cached_property
    def _shared(self) -> tuple[Any, Nodes]:
        return self._program.shared(self.params), self._program.shared(self.means)

    @functools.cached_property
    def _undonated(self) -> Task:
        task: Task = self._program.shared(dataclasses.replace(self.task, donors=None))
        return task

    @functools.cached_property
    def _donated(self) -> Task:
        task: Task = self._program.shared(self.task)
        return task

    @property
    def _program(self) -> mesh.OverLanes:
        return _program(self.config, tuple(jax.local_devices()))

    def _draw(self, number: int) -> Draws:
        """One draw: of stochastic ablation, shared by all pairs; and of donors."""
        pairs = len(self._apart.smooth_P)
        (key,) = _keys(self.seed, np.array([number]))
        smooth_P = np.full(pairs, number % 2 == 0)
        return Draws(np.tile(key, (pairs, 1)), smooth_P, self._donors(number))

    def _donors(self, number: int) -> npt.NDArray[np.int32]:
        """A donor for each row, in one draw."""
        rows, given = len(self.task.asked), self.task.donors
        if given is None:
            return np.zeros(rows, np.int32)
        rng = np.random.default_rng([self.seed, number])
        return rng.integers(0, donors.size(given), rows, np.int32)

    @functools.cached_property
    def _apart(self) -> Draws:
        """One draw for each pair, the same for all masks."""
        pair_P = np.arange(len(self.task.asked) // 2)
        keys = _keys(self.seed, pair_P)
        return Draws(keys, pair_P % 2 == 0, self._donors(-1 % 2**31))

    def _losses(
        self,
        kinds: Sequence[Kind],
        keep: Nodes,
        draws: Sequence[Draws],
        errors: float = 1.0,
        turn: int = 0,
    ) -> npt.NDArray[np.float32]:
        """[N] losses of masks {site: [N, …]}, each with its own kind and draws."""
        return self._measured(kinds, keep, draws, errors, turn)[:, 0]

    def by_pair(self, keep: Nodes, draws: int = DRAWS) -> dict[str, npt.NDArray[Any]]:
        """{ablation: [draw, pair]} losses, of which those without draws have one."""
        undrawn = self._measured(
            [MEAN, FROZEN], nodes.repeated(keep, 2), [self._apart] * 2, 0.0
        )[:, PAIRS:]
        found = {"mean": undrawn[:1], "frozen": undrawn[1:]}
        for name, kind in ({"stochastic": STOCHASTIC} | RESAMPLED).items():
            parts = []
            for first in range(0, draws, AT_ONCE):
                each = [self._draw(first + n) for n in range(AT_ONCE)]
                copies = nodes.repeated(keep, AT_ONCE)
                given = [kind] * AT_ONCE, copies, each, 0.0, first
                parts.append(self._measured(*given)[:, PAIRS:])
            found[name] = np.concatenate(parts)[:draws]
        return found

    def right(self, kind: Kind, keep: Nodes, draws: int = AT_ONCE) -> float:
        """The part of prompts that a mask answers rightly, over some draws."""
        each = [self._draw(n) for n in range(draws)]
        copies = nodes.repeated(keep, draws)
        return float(self._measured([kind] * draws, copies, each, 0.0)[:, 1].mean())

    def _measured(
        self,
        kinds: Sequence[Kind],
        keep: Nodes,
        draws: Sequence[Draws],
        errors: float,
        turn: int = 0,
    ) -> npt.NDArray[np.float32]:
        """[N, PAIRS + pairs]: the loss, the part that is right, and the loss of each
        pair. Each device computes one mask at a time."""
        assert len({kind.moved for kind in kinds}) == 1, "they share the donors"
        program, task = self._program, self._given(kinds[0], turn)
        each = jax.tree.map(lambda *x: np.stack(x), *zip(kinds, draws, strict=True))
        found = []
        for rows in mesh.portions(len(kinds), len(jax.local_devices())):
            own = jax.tree.map(lambda x, rows=rows: x[rows], (keep, *each))
            found.append(np.asarray(program(errors, *self._shared, task, *own)))
        return np.concatenate(found)[: len(kinds)]

    def slopes(
        self, mask: npt.NDArray[Any], kind: Kind | None = None
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """[node] d loss / d mask at a mask (of parts, if not of zeros and ones), and
        the loss: under one kind of ablation, or the worst."""
        kind = self.worst(mask) if kind is None else kind
        loss, tree = _slopes(
            self.config, self.params, self.means, self._given(kind, 0),
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
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The loss of one mask under one kind of ablation, the part that is right, and the
    loss of each pair."""

    if task.donors is None:
        tap = _mixture(means, task, keep, kind, draws)
    else:  # where they are to be apart, they are turned already
        tap = taps.mix(keep, donors.rows(task.donors, jnp.asarray(draws.donor_B)))
    margin_B = ablations.margins(config, params, task.asked, tap)
    return (
        questions.upper_loss_of(margin_B, errors),
        jnp.mean(margin_B > 0),
        questions.pair_losses_of(margin_B),
    )


def _mixture(means: Nodes, task: Task, keep: Nodes, kind: Kind, draws: Draws) -> Tap:
    """Mean ablation, with frozen norms or stochastic as the kind says."""

    def draw(key: Any, smooth: Any) -> Nodes:
        return ablations.drawn_amounts(keep, jax.random.wrap_key_data(key), smooth)

    each = jax.vmap(draw)(draws.key_P2, draws.smooth_P)  # [pair, layer, width]
    amount = {
        site: jnp.repeat(jnp.moveaxis(x, 0, -2), 2, -2)[..., None, :]
        for site, x in each.items()
    }
    rows = len(task.asked)
    frozen_B, drawn_B = (jnp.full(rows, x, jnp.float32) for x in kind[:2])
    return ablations.by_kind(keep, means, task.scales, amount, frozen_B, drawn_B)


@functools.cache
def _program(config: ModelConfig, devices: tuple[jax.Device, ...]) -> mesh.OverLanes:
    """The program for losses of masks, spread over devices."""

    def all_of(
        errors: Any, params: Any, means: Nodes, task: Task, *lanes: Any
    ) -> jax.Array:
        def one(own: Any) -> jax.Array:
            given = loss(config, errors, params, means, task, *own)
            return jnp.concatenate([jnp.atleast_1d(x) for x in given])

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
        return loss(config, 1.0, params, means, task, keep, kind, draws)[0]

    found: tuple[jax.Array, Nodes] = jax.value_and_grad(of)(keep)
    return found


def _keys(seed: int, number_N: npt.NDArray[Any]) -> npt.NDArray[np.uint32]:
    """[N, 2] key data, from a seed and a number each."""
    return np.asarray(_folded(jax.random.key(seed), number_N))


@jax.jit
def _apart(given: Nodes, key_2: jax.Array) -> Nodes:
    return donors.apart(given, jax.random.wrap_key_data(key_2))


@jax.jit
def _folded(key: jax.Array, number_N: jax.Array) -> jax.Array:
    each = jax.vmap(functools.partial(jax.random.fold_in, key))(number_N)
    return jax.random.key_data(each)
