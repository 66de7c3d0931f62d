"""The groups of a circuit's nodes on a page, with what a reader has changed in them.

A box of the page's data holds the nodes that were computed for it. Where a reader chose
others, they are its field `members`, and take the place of all computed ones; a node in
a list of members is in no other box. A box that only a reader made has no computed
nodes. A node that is then in no box stands alone, and a box without nodes is gone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sparsetx.circuits.explain import supernodes
from sparsetx.circuits.report.page_data.drawn_graph import RESIDUAL, WEIGHT

MEMBERS = "members"
Box = dict[str, Any]


def made(name: str, members: Sequence[str]) -> Box:
    """A box that only a reader made."""
    return {"name": name, "nodes": [], MEMBERS: list(members)}


def boxes(circuit: Mapping[str, Any]) -> list[Box]:
    """The boxes as they are now, each with its figures."""
    given: list[Box] = (circuit.get("groups") or {}).get("boxes", [])
    if not any(MEMBERS in box for box in given):
        return given
    chosen = {name for box in given for name in box.get(MEMBERS, ())}
    found = []
    for box in given:
        own = box.get(MEMBERS, [n for n in box["nodes"] if n not in chosen])
        rest = {key: value for key, value in box.items() if key != MEMBERS}
        if own:
            found.append(rest | {"nodes": list(own)} | _facts(circuit, own))
    return _joined(circuit, found)


def _facts(circuit: Mapping[str, Any], own: Sequence[str]) -> Box:
    effects = {
        node["id"]: float(node["interchange"])
        for node in circuit["graph"]["nodes"]
        if node["id"] in own and node.get("interchange") is not None
    }
    carrier = max(effects, key=lambda name: effects[name], default=None)
    layers = [int(name.split("/")[1]) for name in own]
    return {
        "layers": [min(layers), max(layers)],
        "interchange": None if carrier is None else effects[carrier],
        "carrier": carrier,
    }


def _joined(circuit: Mapping[str, Any], found: Sequence[Box]) -> list[Box]:
    """The same boxes with the sums of their arrows."""
    names = [node["id"] for node in circuit["graph"]["nodes"]]
    of = circuit["graph"]["edges"]
    columns = (of[key] for key in ("src", "dst", "weight", "kind"))
    edges = [
        (of["kinds"][kind], names[src], names[dst], weight)
        for src, dst, weight, kind in zip(*columns, strict=True)
    ]
    flow_NN = supernodes.flow(
        names,
        [(src, dst, weight) for kind, src, dst, weight in edges if kind == WEIGHT],
        [(src, dst) for kind, src, dst, _ in edges if kind == RESIDUAL],
    )
    own_GN = np.array([[n in box["nodes"] for n in names] for box in found], float)
    between = own_GN @ flow_NN @ own_GN.T
    np.fill_diagonal(between, 0)
    return [
        box | {"incoming": float(between[:, i].sum()), "outgoing": float(row.sum())}
        for i, (box, row) in enumerate(zip(found, between, strict=True))
    ]
