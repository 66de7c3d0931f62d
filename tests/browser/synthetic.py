"""Random data of a page, as large as a page may be; every text in it is hostile."""

import base64
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.report.page_data import VERSION, drawn_graph

HOSTILE = "</script><img src=x onerror=\"document.title='taken'\"><!--"
LAYERS, WIDE, EDGES, TOKENS = 8, 16, 2000, 48
STEPS = (
    ((nodes.ATTN_IN,), (nodes.Q, nodes.K, nodes.V)), ((nodes.V,), (nodes.ATTN_OUT,)),
    ((nodes.MLP_IN,), (nodes.MLP_NEURON,)), ((nodes.MLP_NEURON,), (nodes.MLP_OUT,)),
)  # fmt: skip


def payload(edges: int = EDGES, text: str = HOSTILE) -> dict[str, Any]:
    """Two explored circuits of a sparse model, two compared ones of a dense model."""
    circuits = [
        circuit("quotes/honest", 0, "honest", edges, text),
        circuit("quotes/plain", 0, "plain", edges // 4, text),
        circuit("dense/quotes/honest", 1, "honest", edges, text),
        circuit("dense/quotes/plain", 1, "plain", 40, text)
        | {
            "missing": f"None. {text}",
            "status": "not reached",
            "graph": None,
            "prompts": None,
            "detail": False,
        },
    ]
    circuits[2] |= {"detail": False, "prompts": None}
    weaker = [(i, j) for i in range(24) for j in range(i + 1, 36)]
    circuits[2]["graph"]["rest"] = drawn_graph.in_steps(weaker)
    sizes = [c["size"]["edges"] for c in circuits]
    ratio = {"reached": 1, "edges": "2 [1, 3]", "times": "2 [1, 3]", "pairs": None}
    return {
        "version": VERSION,
        "title": f"Circuits of {text}",
        "maker": "a test",
        "kinds": drawn_graph.KINDS,
        "models": [model(text, "sparse"), model("dense", "dense")],
        "comparison": [
            {
                "name": "honest",
                "rows": [{"task": text, "sizes": [sizes[0], sizes[2]]}],
                "ratios": [ratio, ratio],
            }
        ],
        "tasks": {"quotes": {"asks": f"Close it. {text}", "excludes": text}},
        "texts": {"rows": [[text, "b", "c"] * 8], "before": 12, "after": 4},
        "circuits": circuits,
    }


def model(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "kind": kind, "loss": 2.25, "reached": 1, "tasks": 1}


def circuit(name: str, number: int, kind: str, edges: int, text: str) -> dict[str, Any]:
    test = {
        "mean": 0.1, "frozen": 0.12, "stochastic": 0.13, "H": 0.13, "accuracy": 0.98,
        "distractor_accuracy": 0.97, "whole_loss": 0.01, "whole_accuracy": 1.0,
    }  # fmt: skip
    graph = drawn(edges, text)
    kept = sum("text" not in node for node in graph["nodes"])
    size = {"nodes": kept, "edges": edges, "edges_plus": edges, "pairs": 9}
    history = {
        "round": [0, 0, 1], "steps": [9, 9, 9], "k_coef": [1e-3, 2e-3, 4e-3],
        "lr": [0.1] * 3, "loss": [0.1, 0.2, 0.3], "edges_plus": [90, 70, -1],
    }  # fmt: skip
    return {
        "id": name, "task": "quotes", "model": number, "kind": kind,
        "status": "reached", "detail": True, "d_head": WIDE, "size": size,
        "test": test, "val": {"mean": 0.1}, "scale": 1.5,
        "search": {"target": 0.15, "rounds": ["3 x 9"]},
        "curve": {"nodes": [4, 9, 20], "edges_plus": [4, 90, 200],
                  "loss": [0.7, 0.2, 0.1]},
        "history": history,
        "ladder": [
            {"name": "mean", "figure": 0.1, "holds": True},
            {"name": "other prompts", "figure": 0.4, "holds": False},
            {"name": "worst case", "figure": 0.3, "holds": None},
        ],
        "controls": [
            {"name": "necessity", "verdict": "pass", "words": text,
             "figure": {"cost": 0.6}, "baseline": {text: 0.01}},
            {"name": "seeds", "verdict": "not run", "words": "It was not asked for.",
             "figure": {}, "baseline": {}},
        ],
        "graph": graph,
        "mechanism": [{"kind": "neuron", "text": text,
                       "nodes": ["mlp_neuron/3/2", "attn_out/0/1"]}],
        "story": [
            {"kind": kind, "text": f"{kind} {text}", "does": text, "carrier": carrier,
             "nodes": names, "heads": heads, "acts": [["mean", names]]}
            for kind, names, heads, carrier in (
                (text, [], [], None),
                ("attention", ["k/0/1", "attn_out/0/1"], [[0, 0]], None),
                ("neuron", ["mlp_neuron/3/2"], [], "mlp_neuron/3/2"),
            )
        ],
        "prompts": prompts(kept, text),
        "example": {side: {"tokens": ["<eot>", text, "x"], "answer": text}
                    for side in "ab"},
    }  # fmt: skip


def drawn(edges: int, text: str) -> dict[str, Any]:
    """Layers of equal columns; weights between neighbouring columns, and some links."""
    rng = np.random.default_rng(0)
    names = [
        f"{site}/{layer}/{index}"
        for layer in range(LAYERS)
        for site in nodes.NODE_SITES
        for index in range(6)
    ]
    place = {name: i for i, name in enumerate(names)}
    ways = [
        (place[f"{src}/{layer}/{i}"], place[f"{dst}/{layer}/{j}"])
        for layer in range(LAYERS)
        for sources, targets in STEPS
        for src in sources
        for dst in targets
        for i in range(6)
        for j in range(6)
    ]
    chosen = rng.choice(len(ways), edges, replace=edges > len(ways))
    src, dst = (list(x) for x in zip(*(ways[i] for i in chosen), strict=True))
    context = {"name": text, "places": [[0, 13]], "values": packed(np.full(16, 200))}
    size = rng.normal(size=len(names)).round(3).tolist()
    told = [
        {"id": n, "says": f"does {n} {text}", "title": "quote type", "cost": 0.1 * w,
         "interchange": -w, "auc": [0.9, 0.75], "contexts": [context],
         "classes": {"low": -1, "high": 1, "a": [1, 2], "b": [2, 1], "where": text}}
        for n, w in zip(names, size, strict=True)
    ]  # fmt: skip
    told += [{"id": "token/0/5", "text": text}, {"id": "answer/0/7", "text": text}]
    weight = rng.normal(size=edges).round(3).tolist()
    cost = (rng.normal(size=edges) / 9).round(4).tolist()
    kind = [0] * edges
    for i in range(6):  # links: a token in, writes along, an answer out
        links = [
            (len(names), i, 0.5, 2),
            (place[f"mlp_out/7/{i}"], len(names) + 1, 1, 3),
        ]
        links.append((place[f"attn_out/0/{i}"], place[f"mlp_in/0/{i}"], None, 1))
        for one, other, value, sort in links:
            src.append(one)
            dst.append(other)
            weight.append(value)
            cost.append(None)
            kind.append(sort)
    return {
        "nodes": told,
        "edges": {"src": src, "dst": dst, "weight": weight, "cost": cost,
                  "kind": kind, "kinds": list(drawn_graph.KINDS)},
        "paths": [{"nodes": [0, 6, 24], "value": -0.1}],
        "left_out": 0,
        "rest": {"src": [], "dst": []},
    }  # fmt: skip


def prompts(kept: int, text: str) -> dict[str, Any]:
    rng = np.random.default_rng(1)

    def side(letter: str, answer: str) -> dict[str, Any]:
        tokens = [
            "<|endoftext|>",
            text,
            *(f" w{i}" for i in range(TOKENS - 4)),
            letter,
            "\n",
        ]
        return {
            "tokens": tokens, "answer": answer, "margin": 2.5, "whole": 3.5,
            "toward": rng.normal(size=TOKENS).round(3).tolist(),
            "acts": packed(rng.integers(0, 256, kept * TOKENS)),
            "looks": [packed(rng.integers(0, 256, TOKENS * (TOKENS + 1) // 2))],
        }  # fmt: skip

    pair = {"distractor": True, "a": side('"', '"'), "b": side("'", "'")}
    return {
        "scale": [1.0] * kept,
        "heads": [{"layer": 0, "head": 0, "says": text}],
        "pairs": [pair, pair | {"distractor": False}],
    }


def packed(values: np.ndarray) -> str:
    return base64.b64encode(np.asarray(values, np.uint8).tobytes()).decode()
