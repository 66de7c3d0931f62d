"""Graphs for other programs: our own schema, and the published one's requirements."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.exchange import graph_exchange
from sparsetx.circuits.report.page_data import Wishes, payload
from tests.circuits import handmade

# What a reader of attribution graphs requires, and the types that it accepts.
METADATA = {"slug": str, "scan": str, "prompt_tokens": list, "prompt": str}
TRACER_METADATA = {"transcoder_list": list}
QPARAMS = {"pinnedIds": list, "supernodes": list, "linkType": str, "clickedId": str}
NODE = {
    "node_id": str, "feature": int, "layer": str, "ctx_idx": int, "feature_type": str,
    "jsNodeId": str, "clerp": str, "influence": (float, type(None)),
    "activation": (float, type(None)),
}  # fmt: skip
LINK = {"source": str, "target": str, "weight": float}


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl", measured=False)
    return payload(runs_and_circuits.subjects([run]), wishes)


def fits(given: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(isinstance(given[key], kind) for key, kind in wanted.items())


def test_our_own_schema(told: dict[str, Any]) -> None:
    found = graph_exchange.own(told)
    assert (found["format"], found["version"]) == ("sparsetx-graph", 1)
    (circuit,) = found["circuits"]
    names = {node["id"] for node in circuit["nodes"]}
    assert len(names) == len(told["circuits"][0]["graph"]["nodes"])
    assert {edge[end] for edge in circuit["edges"] for end in ("src", "dst")} <= names
    for node in circuit["nodes"]:
        if node["text"] is None:
            assert node["id"] in circuit["groups"][node["group"]]["nodes"]
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("side", ["a", "b"])
def test_the_published_schema(told: dict[str, Any], side: str) -> None:
    circuit = told["circuits"][0]
    found = graph_exchange.attribution(circuit, "a-model", 0, side)
    assert set(found) == {"metadata", "qParams", "nodes", "links"}
    assert fits(found["metadata"], METADATA | TRACER_METADATA)
    assert fits(found["qParams"], QPARAMS)
    assert all(fits(node, NODE) for node in found["nodes"])
    assert all(fits(link, LINK) for link in found["links"])
    ids = [node["node_id"] for node in found["nodes"]]
    assert len(set(ids)) == len(ids)
    assert {x[end] for x in found["links"] for end in ("source", "target")} <= {*ids}
    tokens = found["metadata"]["prompt_tokens"]
    assert found["metadata"]["prompt"] == "".join(tokens)
    assert all(0 <= node["ctx_idx"] < len(tokens) for node in found["nodes"])
    grouped = [one for _, *members in found["qParams"]["supernodes"] for one in members]
    assert sorted(grouped) == sorted(found["qParams"]["pinnedIds"])
    assert set(grouped) <= set(ids)
    assert len(set(grouped)) == len(grouped)
    json.dumps(found, allow_nan=False)


def test_a_detector_is_entered_where_it_fires(told: dict[str, Any]) -> None:
    found = graph_exchange.attribution(told["circuits"][0], "a-model", 0, "a")
    own = [n for n in found["nodes"] if n["clerp"].endswith("(mlp_neuron/0/0)")]
    tokens = found["metadata"]["prompt_tokens"]
    assert [tokens[n["ctx_idx"]] for n in own] == ['("']
    assert own[0]["activation"] > 0
    # Only values carry anything from one token to a later one.
    at = {n["node_id"]: n for n in found["nodes"]}
    across = [
        (at[x["source"]], at[x["target"]])
        for x in found["links"]
        if at[x["source"]]["ctx_idx"] != at[x["target"]]["ctx_idx"]
    ]
    assert across
    for source, target in across:
        assert source["ctx_idx"] < target["ctx_idx"]
        assert (source["feature_type"], target["feature_type"]) == ("v", "attn_out")
