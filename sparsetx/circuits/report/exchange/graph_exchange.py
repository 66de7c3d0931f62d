"""Write the circuits of a page's data as graphs that other programs can read.

Our own schema (`own`): format "sparsetx-graph", version; circuits, each with id, task,
nodes (id, title, says, label, note, cost, direct, interchange, text, group: a place in
groups), edges (src, dst: ids of nodes; kind; weight and cost, None where unknown),
groups (name, nodes, incoming, outgoing, interchange, label, note).

The schema of attribution graphs that Neuronpedia and circuit-tracer read
(`attribution`): one prompt per graph, and a node per token. A node of a circuit is the
same at every token, so it is entered once for each token at which it is active: where
it departs from its median over the shown prompts by at least a quarter of its largest
departure there. A node that is active nowhere in the prompt is entered at the last
token. Links join nodes at one token, those from values to writes also earlier tokens to
later ones. A residual channel passes on what is written, so that its links weigh 1.
Queries times keys have no weight of their own and are left out. `influence`, a
quantity of circuit-tracer's own pruning, stays empty.
"""

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsetx import nodes
from sparsetx.circuits.report.exchange import edited_groups
from sparsetx.circuits.report.page_data.drawn_graph import (
    ANSWER,
    EMBED,
    MEETS,
    RESIDUAL,
    SAYS,
    TOKEN,
    WEIGHT,
)

FORMAT, VERSION = "sparsetx-graph", 1
ACTIVE = 0.25  # of a node's largest departure from its median
Circuit = Mapping[str, Any]  # an entry of the page's data
Matrix = npt.NDArray[np.float64]
FIELDS = (
    "id", "title", "says", "label", "note", "cost", "direct", "interchange", "text",
)  # fmt: skip


def own(told: Mapping[str, Any]) -> dict[str, Any]:
    """All circuits of a page's data that can be explored, in our own schema."""
    circuits = [c for c in told["circuits"] if c["detail"] and c["graph"]]
    return {
        "format": FORMAT,
        "version": VERSION,
        "maker": told["maker"],
        "circuits": [_own(circuit) for circuit in circuits],
    }


def _own(circuit: Circuit) -> dict[str, Any]:
    boxes = edited_groups.boxes(circuit)
    group = {name: i for i, box in enumerate(boxes) for name in box["nodes"]}
    return {
        "id": circuit["id"],
        "task": circuit["task"],
        "nodes": [
            {field: node.get(field) for field in FIELDS}
            | {"group": group.get(node["id"])}
            for node in circuit["graph"]["nodes"]
        ],
        "edges": list(_edges(circuit)),
        "groups": boxes,
    }


def _edges(circuit: Circuit) -> Iterator[dict[str, Any]]:
    names = [node["id"] for node in circuit["graph"]["nodes"]]
    of = circuit["graph"]["edges"]
    columns = (of[key] for key in ("src", "dst", "kind", "weight", "cost"))
    for src, dst, kind, weight, cost in zip(*columns, strict=True):
        yield {
            "src": names[src],
            "dst": names[dst],
            "kind": of["kinds"][kind],
            "weight": weight,
            "cost": cost,
        }


def attribution(circuit: Circuit, scan: str, pair: int, side: str) -> dict[str, Any]:
    """A circuit on one prompt, in the schema of attribution graphs. `scan`: the model's
    name; `side`: a or b."""
    prompt = circuit["prompts"]["pairs"][pair][side]
    copies = _copies(circuit, pair, side)
    entered = {
        (name, at): entry for name, each in copies.items() for at, entry in each.items()
    }
    ids = {key: entry["node_id"] for key, entry in entered.items()}
    groups = [
        [box.get("label") or box["name"]]
        + [ids[name, at] for name in box["nodes"] for at in copies.get(name, {})]
        for box in edited_groups.boxes(circuit)
    ]
    slug = f"{circuit['id']}-{pair + 1}{side}".replace("/", "-").replace("_", "-")
    return {
        "metadata": {
            "slug": slug.lower(),
            "scan": scan,
            "transcoder_list": [],
            "prompt_tokens": prompt["tokens"],
            "prompt": "".join(prompt["tokens"]),
            "schema_version": 1,
        },
        "qParams": {
            "pinnedIds": [one for group in groups for one in group[1:]],
            "supernodes": groups,
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": list(entered.values()),
        "links": [
            {"source": ids[edge["src"], a], "target": ids[edge["dst"], b], "weight": w}
            for edge in _edges(circuit)
            for w in [_weight(edge)]
            if w is not None
            for a in copies.get(edge["src"], {})
            for b in copies.get(edge["dst"], {})
            if a == b or (a < b and edge["src"].startswith(f"{nodes.V}/"))
        ],
    }


def _weight(edge: Mapping[str, Any]) -> float | None:
    if edge["kind"] == MEETS:
        return None
    known = {RESIDUAL: 1.0}
    if edge["kind"] not in (WEIGHT, RESIDUAL, EMBED, SAYS):
        raise ValueError(f"an edge of the kind {edge['kind']}: no weight is known")
    weight: float | None = edge["weight"]
    return known.get(edge["kind"], 0.0) if weight is None else weight


def _copies(circuit: Circuit, pair: int, side: str) -> dict[str, dict[int, Any]]:
    """{node: {token's place: its entry}}."""
    shown = circuit["graph"]["nodes"]
    tokens = circuit["prompts"]["pairs"][pair][side]["tokens"]
    last, found = len(tokens) - 1, {}
    kept = [n for n in shown if "text" not in n and not n.get("free")]
    values, rest, largest = _values(circuit, pair, side)
    layers = [int(n["id"].split("/")[1]) for n in kept]
    for place, node in enumerate(shown):
        site, layer, index = node["id"].split("/")
        at: dict[int, float | None]
        if site == TOKEN:
            at = {i: None for i, text in enumerate(tokens) if text == node["text"]}
            layer, feature, kind = "E", int(index), "embedding"
        elif site == ANSWER:
            at, layer = {last: None}, str(max(layers, default=0) + 1)
            feature, kind = int(index), "logit"
        elif node.get("free"):
            at, feature, kind = {last: None}, place, site
        else:
            row = kept.index(node)
            far = np.abs(values[row] - rest[row]) >= ACTIVE * max(largest[row], 1e-9)
            where = np.flatnonzero(far).tolist() or [last]
            at = {i: float(values[row, i]) for i in where}
            feature, kind = place, site
        does = node.get("label") or node.get("title") or node.get("text")
        clerp = f"{does} ({node['id']})" if does else node["id"]
        found[node["id"]] = {
            i: {
                "node_id": f"{layer}_{feature}_{i}",
                "feature": feature,
                "layer": layer,
                "ctx_idx": i,
                "feature_type": kind,
                "jsNodeId": f"{layer}_{feature}-{i}",
                "clerp": clerp,
                "influence": None,
                "activation": value,
                "is_target_logit": kind == "logit",
            }
            for i, value in at.items()
        }
    return found


def _values(circuit: Circuit, pair: int, side: str) -> tuple[Matrix, Matrix, Matrix]:
    """Of each kept node: its values in one prompt [node, token], its median over all
    shown prompts, and the largest departure from it."""
    prompts = circuit["prompts"]
    scale_N = np.asarray(prompts["scale"], np.float64)

    def unpacked(one: Mapping[str, Any]) -> Matrix:
        raw = np.frombuffer(base64.b64decode(one["acts"]), np.uint8).astype(float)
        found: Matrix = (raw.reshape(len(scale_N), -1) - 128) / 127
        return found * scale_N[:, None]

    every = np.concatenate(
        [unpacked(two[s]) for two in prompts["pairs"] for s in ("a", "b")], 1
    )
    rest_N = np.median(every, 1)
    largest_N = np.abs(every - rest_N[:, None]).max(1)
    return unpacked(prompts["pairs"][pair][side]), rest_N, largest_N
