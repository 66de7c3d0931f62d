"""Taps: functions called at every site of the model, to read or change activations.

Taps are the only way to do this. At every site the model calls
`x, take = tap.fn(site, x, here)`, after AbsTopK: the model continues with x, and
`model.trace` returns take (unless None), stacked over layers. `here` is this layer's
slice of `along`, or `ends` at a site outside the stack. A tap is a pytree with a static
function: jit, vmap, grad and sharding apply to its arrays, and it is traced once per
site, however many layers there are.

A mask, the means, an adversary's mixture and an importance score all have the shape of
a `Nodes` tree, {site: [layer, width]}. The functions below that make a tap from such
trees do not change sites that are absent from them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from sparsetx import nodes
from sparsetx.nodes import Nodes
from sparsetx.system import fields

Fn = Callable[[str, jax.Array, Any], tuple[jax.Array, Any]]
BareFn = Callable[[str, jax.Array], jax.Array]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Tap:
    """`fn` must be hashable (a module's function: a lambda made per call would be
    compiled again in every call); `along` has leaves [layer, …]. `sites` are those that
    fn may read or change, None if they could be any: what no tap visits need not exist
    as an array."""

    fn: Fn = dataclasses.field(metadata={"static": True})
    along: Any = None
    ends: Any = None
    sites: frozenset[str] | None = dataclasses.field(
        default=None, metadata={"static": True}
    )

    def visits(self, site: str) -> bool:
        return self.sites is None or site in self.sites


def pass_through(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    return x, None


IDENTITY = Tap(pass_through, sites=frozenset())


def as_tap(tap: Tap | BareFn | None) -> Tap:
    """None, a bare f(site, x) -> x, or a Tap, as a Tap."""
    if tap is None:
        return IDENTITY
    if isinstance(tap, Tap):
        return tap
    if callable(tap):
        return Tap(_Bare(tap))
    raise ValueError(f"wanted a Tap, a function f(site, x) or None, got {tap!r}")


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Rows:
    """Rows of an array [row, L, width], in `along` with a layer axis before, that are
    gathered where they are used: the last layer may need them at one place only."""

    array: jax.Array
    chosen_B: jax.Array

    def whole(self) -> jax.Array:
        return jnp.take(self.array, self.chosen_B, 0)

    def at(self, place_B: jax.Array) -> jax.Array:
        """[B, 1, width]"""
        return self.array[self.chosen_B, place_B][:, None]


def ablate(keep: Nodes, means: Nodes) -> Tap:
    """x <- m·x + (1 - m)·mean: nodes with m = 1 are kept, with m = 0 are ablated."""
    return mix(keep, means)


def mix(amount: Nodes, values: Mapping[str, Any], spare: Nodes | None = None) -> Tap:
    """x <- a·x + (1 - a)·value, with a = 1 where `spare` is 1.

    Values are per node ([layer, width]), whole activations ([layer, B, L, width]), or
    rows of such.
    """
    _same_sites("mix", amount=amount, values=values, spare=spare)
    if spare is not None:
        amount = {s: spare[s] + (1 - spare[s]) * amount[s] for s in amount}
    return at_sites(_blend, {s: (amount[s], values[s]) for s in amount})


def interchange(where: Nodes, values: Nodes) -> Tap:
    """Nodes that are 1 in `where` take these values, from another forward pass."""
    _same_sites("interchange", where=where, values=values)
    return at_sites(_take_over, {s: (where[s], values[s]) for s in where})


def substitute(values: Mapping[str, Any]) -> Tap:
    """Replace whole sites by given values, as for frozen norms, attention, bridges."""
    return at_sites(_replace, dict(values))


def capture(sites: Sequence[str]) -> Tap:
    """Take the activations of these sites: `model.trace` returns them."""
    for site in sites:
        _known(site)
    chosen = frozenset(sites)
    return Tap(_Capture(chosen), sites=chosen)


def at_sites(fn: Fn, tree: Mapping[str, Any]) -> Tap:
    """A tap that does nothing but at the sites of a tree, where `here` has them."""
    for site in tree:
        _known(site)
    ends = {s: v for s, v in tree.items() if s in nodes.END_SITES}
    along = {s: v for s, v in tree.items() if s not in ends}
    return Tap(fn, along, ends, frozenset(tree))


def compose(*taps: Tap | BareFn) -> Tap:
    """One tap that applies several, in order; at most one may take at any one site."""
    parts = [as_tap(t) for t in taps]
    fns = _Composed(tuple(t.fn for t in parts))
    each = [t.sites for t in parts if t.sites is not None]
    sites = frozenset().union(*each) if len(each) == len(parts) else None
    along, ends = tuple(t.along for t in parts), tuple(t.ends for t in parts)
    return Tap(fns, along, ends, sites)


@dataclass(frozen=True)
class _Bare:
    f: BareFn

    def __call__(self, site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
        return self.f(site, x), None


@dataclass(frozen=True)
class _Capture:
    sites: frozenset[str]

    def __call__(self, site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
        return x, (x if site in self.sites else None)


@dataclass(frozen=True)
class _Composed:
    fns: tuple[Fn, ...]

    def __call__(self, site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
        takes = []
        for fn, part in zip(self.fns, here, strict=True):
            x, take = fn(site, x, part)
            takes += [] if take is None else [take]
        if len(takes) > 1:
            raise ValueError(f"{len(takes)} of the composed taps take at {site!r}")
        return x, takes[0] if takes else None


def _blend(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    if site not in here:
        return x, None
    amount, value = here[site]
    value = value.whole() if isinstance(value, Rows) else value
    amount, value = (_against(x, a).astype(jnp.float32) for a in (amount, value))
    return (amount * x + (1 - amount) * value).astype(x.dtype), None


def _take_over(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    if site not in here:
        return x, None
    where, value = (_against(x, a) for a in here[site])
    return jnp.where(where.astype(bool), value.astype(x.dtype), x), None


def _replace(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    if site not in here:
        return x, None
    return jnp.broadcast_to(_against(x, here[site]), x.shape).astype(x.dtype), None


def _against(x: jax.Array, value: Any) -> jax.Array:
    """value with leading axes of size 1, so that it broadcasts against x."""
    array = jnp.asarray(value)
    return array.reshape((1,) * (x.ndim - array.ndim) + array.shape)


# Sites that the last layer computes only at the token where the answer is read.
_LATE = (
    nodes.ATTN_PATTERN, nodes.ATTN_OUT, nodes.RESID_POST_ATTN, nodes.MLP_NORM,
    nodes.MLP_IN, nodes.MLP_NEURON, nodes.MLP_OUT, nodes.RESID_POST_MLP, nodes.FINAL,
    nodes.FINAL_NORM,
)  # fmt: skip


def at_place(here: Any, place_B: jax.Array, shape: tuple[int, ...]) -> Any:
    """A layer's slice of a tap, for a layer that is computed at one token of each row.

    Whole activations, [B, L, …] at a site of _LATE, are cut to that token; arrays for
    nodes or rows are not changed.
    """

    def cut(path: Any, x: Any) -> Any:
        late = any(getattr(key, "key", None) in _LATE for key in path)
        if isinstance(x, Rows):
            return x.at(place_B) if late else x
        pattern = any(getattr(key, "key", None) == nodes.ATTN_PATTERN for key in path)
        axes = (x.shape[0], x.shape[2]) if pattern and x.ndim == 4 else x.shape[:2]
        if not late or x.ndim < 3 or axes != shape:
            return x
        axis = 2 if pattern else 1
        where = [1] * x.ndim
        where[0] = shape[0]
        return jnp.take_along_axis(x, place_B.reshape(where), axis)

    return jax.tree_util.tree_map_with_path(
        cut, here, is_leaf=lambda x: isinstance(x, Rows)
    )


def _known(site: str) -> None:
    known = (*nodes.BLOCK_SITES, *nodes.END_SITES)
    if site not in known:
        raise ValueError(f"no site {site!r}; {fields.near(site, known)}")


def _same_sites(maker: str, **trees: Mapping[str, Any] | None) -> None:
    given = {name: set(tree) for name, tree in trees.items() if tree is not None}
    first = next(iter(given.values()))
    if any(sites != first for sites in given.values()):
        listed = "; ".join(f"{n}: {', '.join(sorted(s))}" for n, s in given.items())
        raise ValueError(f"{maker}: wanted the same sites in every tree, got {listed}")
