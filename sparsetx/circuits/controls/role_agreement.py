"""Roles: does a kept node mean in the circuit what it means in the whole model?

Correlation of each node's activations over all tokens of the prompts, and how far the
circuit's attention is from the model's. Heads that keep a value but neither query nor
key attend by constants; heads that keep a query or a key but no value speak, if at
all, by how much they attend, through values that are not counted as nodes.
"""

from typing import Any

import numpy as np

from sparsetx import model, nodes, taps
from sparsetx.circuits.circuit import name_of
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
from sparsetx.circuits.measure import ablations
from sparsetx.nodes import Node

SHOWN = 12  # nodes named in the file, those that agree least
STILL = 1e-6  # of a spread: the node is constant


def roles(evidence: Evidence) -> Entry:
    found = correlations(evidence)
    r = np.array(list(found.values()))
    median = float(np.median(r)) if len(r) else 0.0
    opposite = float((r < 0).mean()) if len(r) else 1.0
    heads = _heads(evidence)
    mute = _mute(evidence, heads["query or key, no value"])
    verdict = thresholds.worst(
        thresholds.CORRELATION.verdict(median),
        thresholds.OPPOSITE.verdict(opposite),
        thresholds.MUTE.verdict(mute / evidence.target),
    )
    divergence = _divergence(evidence)
    words = (
        f"Half of its nodes follow themselves in the whole model with a correlation "
        f"of {median:.2f} or more; {100 * opposite:.0f}% go against themselves."
    )
    if thresholds.MUTE.verdict(mute / evidence.target) != thresholds.PASS:
        words += f" Heads without a value carry {mute:.2f} nats of its loss."
    least = sorted(found, key=found.__getitem__)[:SHOWN]
    return Entry(
        thresholds.ROLES,
        verdict,
        words,
        {
            "median correlation": median,
            "opposite": opposite,
            "attention, nats from the model's": divergence,
            "nats by heads without a value": mute,
        },
        {"of themselves": 1.0},
        {
            "least": {name_of(node): found[node] for node in least},
            "correlations": np.sort(r).tolist(),
            "constant": int(evidence.size.nodes - len(found)),
            "heads": heads,
        },
    )


def correlations(evidence: Evidence) -> dict[Node, float]:
    """Of kept nodes that move in the circuit. One that stands still in the whole model
    while it moves in the circuit has none: 0."""
    real_BL = _real(evidence)
    whole = _taken(evidence, evidence.sites, whole=True)
    cut = _taken(evidence, evidence.sites, whole=False)
    found = {}
    for site in evidence.sites:
        keep = np.asarray(evidence.keep[site])
        for place in np.argwhere(keep > 0):
            layer, index = (0, *place) if site in nodes.END_SITES else place
            at = (..., index) if site in nodes.END_SITES else (layer, ..., index)
            one, other = (x[site][at][real_BL] for x in (whole, cut))
            if other.std() <= STILL * (1 + np.abs(other).max()):
                continue
            still = one.std() <= STILL * (1 + np.abs(one).max())
            r = 0.0 if still else float(np.corrcoef(one, other)[0, 1])
            found[Node(site, int(layer), int(index))] = r
    return found


def _taken(evidence: Evidence, sites: Any, whole: bool) -> dict[str, Array]:
    tap = taps.capture(sites)
    if not whole:
        tap = taps.compose(ablations.mean(evidence.keep, evidence.means), tap)
    tokens_BL = evidence.few.asked.tokens_BL
    _, found = model.trace(evidence.config, evidence.params, tokens_BL, tap)
    return {site: np.asarray(x, np.float64) for site, x in found.items()}


def _real(evidence: Evidence) -> Array:
    """[B, L]: tokens up to where the answer is read."""
    asked = evidence.few.asked
    place_L = np.arange(asked.tokens_BL.shape[1])
    return place_L[None] <= np.asarray(asked.position_B)[:, None]


def _divergence(evidence: Evidence) -> float | None:
    """Mean over the circuit's heads and all tokens of KL(model's attention, circuit's);
    what goes to a sink is a place like any other."""
    values = np.asarray(evidence.keep[nodes.V])
    config = evidence.config
    heads = values.reshape(config.n_layer, config.n_head, -1).any(-1)
    if not heads.any():
        return None
    each = []
    for whole in (True, False):
        taken = _taken(evidence, (nodes.ATTN_PATTERN,), whole)
        p = np.moveaxis(taken[nodes.ATTN_PATTERN], 1, 2)[heads]  # [head, B, L, L]
        rest = np.maximum(1 - p.sum(-1, keepdims=True), 0)
        each.append(np.concatenate([p, rest], -1)[:, _real(evidence)])
    p, q = (np.maximum(x, 1e-9) for x in each)
    return float((p * np.log(p / q)).sum(-1).mean())


def _heads(evidence: Evidence) -> dict[str, list[str]]:
    """Heads that keep but a part of what a head needs."""
    config = evidence.config
    q, k, v = (
        np.asarray(evidence.keep[site]).reshape(config.n_layer, config.n_head, -1)
        for site in (nodes.Q, nodes.K, nodes.V)
    )
    attends = np.asarray(q.any(-1) | k.any(-1))
    says = np.asarray(v.any(-1))
    return {
        "value, no query or key": _named(np.asarray(says & ~attends)),
        "query or key, no value": _named(np.asarray(attends & ~says)),
    }


def _named(heads: Array) -> list[str]:
    return [f"{layer}.{head}" for layer, head in np.argwhere(heads)]


def _mute(evidence: Evidence, heads: list[str]) -> float:
    """Nats that the circuit loses with the attention of these heads held constant."""
    if not heads:
        return 0.0
    config = evidence.config
    without = {site: np.array(x) for site, x in evidence.keep.items()}
    for name in heads:
        layer, head = map(int, name.split("."))
        own = slice(head * config.d_head, (head + 1) * config.d_head)
        without[nodes.Q][layer, own] = without[nodes.K][layer, own] = 0
    margin_NB = evidence.margins(masked, evidence.means, stacked([without]), "")
    return float(losses_of(margin_NB)[0]) - loss_of(evidence.cut)
