"""Control: the ablation cost of the circuit in the whole model (section 2.3).

It is compared with random masks of other nodes, as many at each site of each layer (all
others, where fewer are left). In addition heads and MLPs are ablated one by one: if the
circuit needs one and the whole model does not, another does the same there, and the
circuit is one of several ways to do the task.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.controls import thresholds
from sparsetx.circuits.controls.entry import Entry
from sparsetx.circuits.controls.evidence import (
    Array,
    Evidence,
    loss_of,
    losses_of,
    masked,
    stacked,
)
from sparsetx.config import ModelConfig

MASKS = 20
NEEDED, SPARE = 0.25, 0.05  # ablation costs, in nats: at least, and at most
NOTHING = 1e-3  # the least cost of random nodes in the ratio, in nats
Tree = dict[str, Array]


def necessity(evidence: Evidence) -> Entry:
    keep = {site: np.asarray(x) for site, x in evidence.keep.items()}
    rng = np.random.default_rng(evidence.search.seed)
    masks = [keep, *(others_like(keep, rng) for _ in range(MASKS))]
    whole = loss_of(evidence.whole)
    margin_NB = evidence.margins(
        masked,
        evidence.means,
        stacked([_without(m) for m in masks]),
        thresholds.NECESSITY,
    )
    cost, *others = (losses_of(margin_NB) - whole).tolist()
    usual = float(np.median(others))
    ratio = cost / max(usual, NOTHING)
    verdict = thresholds.worst(
        thresholds.COST.verdict(cost), thresholds.COST_RATIO.verdict(ratio)
    )
    parts = _parts(evidence, keep, whole)
    spare = [p["part"] for p in parts if p["circuit"] >= NEEDED and p["whole"] <= SPARE]
    words = (
        f"Without the circuit the whole model's loss rises by {cost:.2f} nats; without "
        f"as many random other nodes, by {usual:.3g}."
    )
    if spare:
        words += (
            f" The circuit needs {', '.join(spare)}, but the whole model does not: "
            "another part does the same."
        )
    return Entry(
        thresholds.NECESSITY,
        verdict,
        words,
        {"cost": cost, "times the random median": ratio},
        {"median of random masks": usual, "whole model": whole},
        {"random": others, "parts": parts, "twins": spare},
    )


def others_like(keep: Mapping[str, Array], rng: np.random.Generator) -> Tree:
    """A random mask of other nodes, as many at each site of each layer."""
    found = {}
    for site, x in keep.items():
        rank = np.argsort(np.argsort(rng.random(x.shape) + 2 * x, -1), -1)
        found[site] = ((rank < x.sum(-1, keepdims=True)) & (x == 0)).astype(x.dtype)
    return found


def _without(mask: Mapping[str, Array]) -> Tree:
    return {site: 1 - x for site, x in mask.items()}


def _parts(
    evidence: Evidence, keep: Mapping[str, Array], whole: float
) -> list[dict[str, Any]]:
    """The ablation costs of each head and MLP in the circuit and in the whole model."""
    found = list(parts_of(evidence.config, keep))
    if not found:
        return []
    inside = [{s: keep[s] * (1 - part[s]) for s in keep} for _, part in found]
    outside = [{s: 1 - keep[s] * part[s] for s in keep} for _, part in found]
    margin_NB = evidence.margins(
        masked,
        evidence.means,
        stacked(inside + outside),
        f"{thresholds.NECESSITY}, parts",
    )
    losses = losses_of(margin_NB)
    own = loss_of(evidence.cut)
    return [
        {"part": name, "circuit": float(a - own), "whole": float(b - whole)}
        for (name, _), a, b in zip(
            found, losses[: len(found)], losses[len(found) :], strict=True
        )
    ]


def parts_of(config: ModelConfig, keep: Mapping[str, Array]) -> list[tuple[str, Tree]]:
    """(name, its nodes) of each head and MLP with a node in the circuit."""
    found: list[tuple[str, tuple[str, ...], int, slice]] = []
    for layer in range(config.n_layer):
        for head in range(config.n_head):
            first = head * config.d_head
            own = slice(first, first + config.d_head)
            found.append(
                (f"head {layer}.{head}", (nodes.Q, nodes.K, nodes.V), layer, own)
            )
        found.append((f"MLP {layer}", (nodes.MLP_NEURON,), layer, slice(None)))
    parts = []
    for name, sites, layer, own in found:
        tree = {site: np.zeros_like(x) for site, x in keep.items()}
        for site in sites:
            tree[site][layer, own] = 1
        if any((tree[site] * keep[site]).any() for site in sites):
            parts.append((name, tree))
    return parts
