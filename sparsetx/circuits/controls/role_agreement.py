"""Control: does a kept node mean in the circuit what it means in the whole model?

Measured are the correlation of each node's activations over all tokens of the prompts,
and the divergence of the circuit's attention from the model's. Heads that keep a value
but no query or key have constant attention. Heads that keep a query or key but no value
can only act by how much they attend, through values that are not counted as nodes.
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

SHOWN = 12  # nodes named in the file: those with the least correlation
CONSTANT = 1e-6  # relative standard deviation up to which a node is constant


def roles(evidence: Evidence) -> Entry:
    found = correlations(evidence)
    r = np.array(list(found.values()))
    median = float(np.median(r)) if len(r) else 0.0
    opposite = float((r < 0).mean()) if len(r) else 1.0
    heads = _heads(evidence)
    hidden = _ablation_cost(evidence, heads["query or key, no value"])
    verdict = thresholds.worst(
        thresholds.CORRELATION.verdict(median),
        thresholds.OPPOSITE.verdict(opposite),
        thresholds.MUTE.verdict(hidden / evidence.target),
    )
    divergence = _divergence(evidence)
    words = (
        "The median correlation of its nodes with themselves in the whole model is "
        f"{median:.2f}; for {100 * opposite:.0f}% of nodes it is negative."
    )
    if thresholds.MUTE.verdict(hidden / evidence.target) != thresholds.PASS:
        words += f" Heads without a value have an ablation cost of {hidden:.2f} nats."
    least = sorted(found, key=found.__getitem__)[:SHOWN]
    return Entry(
        thresholds.ROLES,
        verdict,
        words,
        {
            "median correlation": median,
            "opposite": opposite,
            "attention, nats from the model's": divergence,
            "nats by heads without a value": hidden,
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
    """Correlations of kept nodes that are not constant in the circuit. One that is
    constant in the whole model has 0."""
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
            if other.std() <= CONSTANT * (1 + np.abs(other).max()):
                continue
            constant = one.std() <= CONSTANT * (1 + np.abs(one).max())
            r = 0.0 if constant else float(np.corrcoef(one, other)[0, 1])
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
    """[B, L]: true up to the token where the answer is read."""
    asked = evidence.few.asked
    place_L = np.arange(asked.tokens_BL.shape[1])
    return place_L[None] <= np.asarray(asked.position_B)[:, None]


def _divergence(evidence: Evidence) -> float | None:
    """Mean over the circuit's heads and all tokens of KL(model's attention, circuit's);
    the sink counts as a token."""
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
    """Heads that keep values only, or queries or keys only."""
    config = evidence.config
    q, k, v = (
        np.asarray(evidence.keep[site]).reshape(config.n_layer, config.n_head, -1)
        for site in (nodes.Q, nodes.K, nodes.V)
    )
    attends = np.asarray(q.any(-1) | k.any(-1))
    writes = np.asarray(v.any(-1))
    return {
        "value, no query or key": _named(np.asarray(writes & ~attends)),
        "query or key, no value": _named(np.asarray(attends & ~writes)),
    }


def _named(heads: Array) -> list[str]:
    return [f"{layer}.{head}" for layer, head in np.argwhere(heads)]


def _ablation_cost(evidence: Evidence, heads: list[str]) -> float:
    """Ablation cost in the circuit of the queries and keys of these heads, in nats."""
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
