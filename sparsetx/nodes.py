"""Names and sizes of the model's sites, which site reads which, and node indices.

A *site* is a place in the network where a tap may read or change activations. A *node*
is one channel of a node site, the same at every token (paper, section 2.3); a *Nodes*
tree holds one number per node: {site: [layer, width]}. Only this file spells the names
of sites, and only parameters.py those of parameters; everything else imports them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsetx.config import ModelConfig
from sparsetx.system import fields

# Sites of a block, in the order in which they are computed.
RESID_PRE_ATTN = "resid_pre_attn"
ATTN_NORM = "attn_norm"
ATTN_IN = "attn_in"
Q = "q"
K = "k"
V = "v"
ATTN_PATTERN = "attn_pattern"
ATTN_OUT = "attn_out"
RESID_POST_ATTN = "resid_post_attn"
MLP_NORM = "mlp_norm"
MLP_IN = "mlp_in"
MLP_NEURON = "mlp_neuron"
MLP_OUT = "mlp_out"
RESID_POST_MLP = "resid_post_mlp"
# Sites outside the stack: before the first block and after the last.
EMBED = "embed"
FINAL = "final"
FINAL_NORM = "final_norm"

BLOCK_SITES = (
    RESID_PRE_ATTN, ATTN_NORM, ATTN_IN, Q, K, V, ATTN_PATTERN, ATTN_OUT,
    RESID_POST_ATTN, MLP_NORM, MLP_IN, MLP_NEURON, MLP_OUT, RESID_POST_MLP,
)  # fmt: skip
END_SITES = (EMBED, FINAL, FINAL_NORM)
NODE_SITES = (ATTN_IN, Q, K, V, ATTN_OUT, MLP_IN, MLP_NEURON, MLP_OUT)
# The residual after each write, where AbsTopK may act as well.
RESIDUAL_SITES = (RESID_POST_ATTN, RESID_POST_MLP)
# The residual that each sublayer reads, before its norm: where bridges attach.
BOUNDARY_SITES = (RESID_PRE_ATTN, RESID_POST_ATTN)
# One number per token, 1/rms: with these fixed, the reads are linear.
NORM_SITES = (ATTN_NORM, MLP_NORM, FINAL_NORM)

# A word for the nodes of each site, for use in sentences.
KINDS = {
    ATTN_IN: "read",
    Q: "query",
    K: "key",
    V: "value",
    ATTN_OUT: "write",
    MLP_IN: "read",
    MLP_NEURON: "neuron",
    MLP_OUT: "write",
}

Nodes = Mapping[str, Any]


@dataclass(frozen=True, order=True, slots=True)
class Node:
    """One channel of a node site. Sites outside the stack have layer 0."""

    site: str
    layer: int
    index: int


def width(model: ModelConfig, site: str) -> int:
    """Channels of a site (an attention pattern has none of its own)."""
    widths = {
        ATTN_IN: model.d_read,
        MLP_IN: model.d_read,
        Q: model.d_attn,
        K: model.d_attn,
        V: model.d_attn,
        MLP_NEURON: model.d_mlp,
        ATTN_NORM: 1,
        MLP_NORM: 1,
        FINAL_NORM: 1,
    }
    if site == ATTN_PATTERN or site not in (*BLOCK_SITES, *END_SITES):
        known = [s for s in (*BLOCK_SITES, *END_SITES) if s != ATTN_PATTERN]
        raise ValueError(f"no width for site {site!r}; {fields.near(site, known)}")
    return widths.get(site, model.d_model)


def active_sites(model: ModelConfig) -> tuple[str, ...]:
    """Where AbsTopK acts."""
    if model.afrac is None:
        return ()
    return model.afrac_sites or NODE_SITES


def active_count(model: ModelConfig, site: str) -> int | None:
    """How many entries of a site AbsTopK keeps per token; None if it does not act."""
    if model.afrac is None or site not in active_sites(model):
        return None
    return int(model.afrac * width(model, site))


def site_offences(model: ModelConfig, prefix: str) -> list[str]:
    """Errors: AbsTopK at a site that does not exist, or that would keep nothing."""
    known = (*NODE_SITES, *RESIDUAL_SITES)
    found = [
        f"{prefix}afrac_sites: AbsTopK cannot act at {site!r}; "
        + fields.near(site, known)
        for site in model.afrac_sites
        if site not in known
    ]
    return found + [
        f"{prefix}afrac = {model.afrac}: wanted at least {1 / wide:.3g}, to keep one "
        f"entry of {site}, {wide} wide"
        for site in active_sites(model)
        if site in known and active_count(model, site) == 0
        for wide in [width(model, site)]
    ]


def writers(model: ModelConfig, site: str, layer: int) -> list[tuple[str, int]]:
    """(site, layer) of all that is summed in the residual that this site reads."""
    if site not in (ATTN_IN, MLP_IN, FINAL):
        raise ValueError(f"{site!r} does not read the residual")
    before = model.n_layer if site == FINAL else layer
    found = [(EMBED, 0)]
    for earlier in range(before):
        found += [(ATTN_OUT, earlier), (MLP_OUT, earlier)]
    if site == MLP_IN:
        found.append((ATTN_OUT, layer))
    return found


# --- Nodes trees -------------------------------------------------------------------


def shapes(
    model: ModelConfig, sites: Sequence[str] = NODE_SITES
) -> dict[str, tuple[int, ...]]:
    """{site: [layer, width]}, and [width] for a site outside the stack."""
    return {
        site: (width(model, site),)
        if site in END_SITES
        else (model.n_layer, width(model, site))
        for site in sites
    }


def count(model: ModelConfig, sites: Sequence[str] = NODE_SITES) -> int:
    return sum(int(np.prod(shape)) for shape in shapes(model, sites).values())


def node_at(model: ModelConfig, flat: int, sites: Sequence[str] = NODE_SITES) -> Node:
    """The node at an index of the flat order: the embedding, then layer by layer in the
    order of computation, then the sites after the last block."""
    if flat < 0:
        raise ValueError(f"wanted a node index of 0 or more, got {flat}")
    left = flat
    for site, layer, wide in _runs(model, sites):
        if left < wide:
            return Node(site, layer, left)
        left -= wide
    raise ValueError(f"wanted a node index below {count(model, sites)}, got {flat}")


def flat_index(
    model: ModelConfig, node: Node, sites: Sequence[str] = NODE_SITES
) -> int:
    """The index of a node in the flat order."""
    before = 0
    for site, layer, wide in _runs(model, sites):
        if (site, layer) == (node.site, node.layer):
            if 0 <= node.index < wide:
                return before + node.index
            raise ValueError(f"{node}: wanted an index below {wide}")
        before += wide
    raise ValueError(
        f"{node}: no such site and layer among {', '.join(sites)} "
        f"of {model.n_layer} layers"
    )


def repeated(tree: Nodes, count: int) -> dict[str, np.ndarray]:
    """{site: [count, …]}: `count` copies of a tree, along a new first axis."""
    return {
        site: np.repeat(np.asarray(x, np.float32)[None], count, 0)
        for site, x in tree.items()
    }


def put(trees: dict[str, np.ndarray], which: int, node: Node, value: float) -> None:
    """Set one node's value in tree number `which` of stacked trees."""
    tree = trees[node.site][which]
    row = tree if node.site in END_SITES else tree[node.layer]
    row[node.index] = value


def flatten(
    model: ModelConfig, tree: Nodes, sites: Sequence[str] = NODE_SITES
) -> np.ndarray:
    """A Nodes tree as one vector in the flat order."""
    rows = {site: np.asarray(tree[site]) for site in sites}
    return np.concatenate(
        [
            rows[site] if site in END_SITES else rows[site][layer]
            for site, layer, _ in _runs(model, sites)
        ]
    )


def kept(model: ModelConfig, keep: Nodes) -> list[Node]:
    """The nodes of a mask, in the flat order."""
    sites = tuple(keep)
    found = np.flatnonzero(flatten(model, keep, sites) > 0)
    return [node_at(model, int(i), sites) for i in found]


def unflatten(
    model: ModelConfig, vector: np.ndarray, sites: Sequence[str] = NODE_SITES
) -> dict[str, np.ndarray]:
    """The inverse of `flatten`."""
    wanted = (count(model, sites),)
    if vector.shape != wanted:
        raise ValueError(f"wanted a vector of shape {wanted}, got {vector.shape}")
    tree = {s: np.empty(n, vector.dtype) for s, n in shapes(model, sites).items()}
    start = 0
    for site, layer, wide in _runs(model, sites):
        part = tree[site] if site in END_SITES else tree[site][layer]
        part[:] = vector[start : start + wide]
        start += wide
    return tree


def _runs(model: ModelConfig, sites: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """(site, layer, width) of each contiguous part of the flat order."""
    if EMBED in sites:
        yield EMBED, 0, width(model, EMBED)
    inside = [site for site in BLOCK_SITES if site in sites]
    for layer in range(model.n_layer):
        for site in inside:
            yield site, layer, width(model, site)
    for site in (FINAL, FINAL_NORM):
        if site in sites:
            yield site, 0, width(model, site)
