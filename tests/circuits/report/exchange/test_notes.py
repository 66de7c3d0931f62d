"""Notes in a page's data, and every way in which they do not fit."""

import copy
from typing import Any

import pytest

from sparsetx.circuits.report.exchange import graph_exchange, notes
from sparsetx.system.errors import Refusal

TOLD: dict[str, Any] = {
    "circuits": [
        {
            "id": "t/honest",
            "detail": True,
            "graph": {"nodes": [{"id": "v/1/0"}]},
            "groups": {"boxes": [{"name": "head 1.0"}]},
            "prompts": {"pairs": [{"a": {}, "b": {}}]},
        },
        {"id": "other/t/honest", "detail": False, "graph": None},
    ]
}


def test_names_and_notes_become_fields() -> None:
    told = copy.deepcopy(TOLD)
    parts = {
        "nodes": {"v/1/0": {"name": "the value", "note": "see <b>"}},
        "groups": {"head 1.0": {"name": "copies"}},
        "prompts": {"1B": {"note": "easy"}},
    }
    notes.bake(told, {"version": 1, "circuits": {"t/honest": parts}}, "f.json")
    circuit = told["circuits"][0]
    (node,) = circuit["graph"]["nodes"]
    assert node == {"id": "v/1/0", "label": "the value", "note": "see <b>"}
    assert circuit["groups"]["boxes"] == [{"name": "head 1.0", "label": "copies"}]
    assert circuit["prompts"]["pairs"] == [{"a": {}, "b": {"note": "easy"}}]


def test_all_offences_at_once_and_nothing_is_changed() -> None:
    told = copy.deepcopy(TOLD)
    parts = {
        "nodes": {"v/1/0": {"name": "good"}, "v/9/9": {"name": 3, "size": "x"}},
        "groups": {"head 1.0": "copies"},
        "prompts": [],
        "edges": {},
    }
    circuits = {"t/honest": parts, "other/t/honest": {}, "gone": {}}
    with pytest.raises(Refusal) as refused:
        notes.bake(told, {"version": True, "circuits": circuits, "x": 1}, "f.json")
    for offence in (
        "notes in f.json that cannot be used",
        "version: wanted 1, got True",
        "x: no such field",
        "nodes: v/9/9: not in this circuit",
        "v/9/9: name: wanted text, got 3",
        "v/9/9: size: no such field",
        "head 1.0: wanted an object",
        "prompts: wanted an object",
        "edges: no such part",
        "other/t/honest: no such circuit",
        "gone: no such circuit (known: t/honest)",
    ):
        assert offence in str(refused.value)
    assert told == TOLD


@pytest.mark.parametrize("given", [[], 3, None, {}, {"version": 1, "circuits": []}])
def test_not_notes_at_all(given: Any) -> None:
    with pytest.raises(Refusal, match="wanted an object with"):
        notes.bake(TOLD, given, "f.json")


GROUPED: dict[str, Any] = {
    "circuits": [
        {
            "id": "t/honest",
            "task": "t",
            "detail": True,
            "graph": {
                "nodes": [
                    {"id": "mlp_neuron/0/0", "interchange": 0.1},
                    {"id": "mlp_out/0/2", "interchange": 0.4},
                    {"id": "attn_in/1/2"},
                    {"id": "v/1/0", "interchange": 0.2},
                    {"id": "answer/0/9", "text": "x"},
                ],
                "edges": {
                    "src": [0, 1, 2],
                    "dst": [1, 2, 3],
                    "weight": [2.0, None, -3.0],
                    "cost": [None] * 3,
                    "kind": [0, 1, 0],
                    "kinds": ["weight", "residual"],
                },
            },
            "groups": {
                "boxes": [
                    {
                        "name": "neuron",
                        "nodes": ["mlp_neuron/0/0", "mlp_out/0/2"],
                        "layers": [0, 0],
                        "incoming": 0.0,
                        "outgoing": 3.0,
                        "interchange": 0.4,
                        "carrier": "mlp_out/0/2",
                    },
                    {
                        "name": "head 1.0",
                        "nodes": ["attn_in/1/2", "v/1/0"],
                        "layers": [1, 1],
                        "incoming": 3.0,
                        "outgoing": 0.0,
                        "interchange": 0.2,
                        "carrier": "v/1/0",
                    },
                ]
            },
            "prompts": None,
        }
    ],
    "maker": "a test",
}


def grouped(groups: dict[str, Any]) -> list[dict[str, Any]]:
    told = copy.deepcopy(GROUPED)
    parts = {"groups": groups}
    notes.bake(told, {"version": 1, "circuits": {"t/honest": parts}}, "f.json")
    (circuit,) = graph_exchange.own(told)["circuits"]
    boxes: list[dict[str, Any]] = circuit["groups"]
    for node in circuit["nodes"]:
        at = [i for i, box in enumerate(boxes) if node["id"] in box["nodes"]]
        assert [node["group"]] == (at or [None])
    return boxes


def test_without_other_nodes_groups_are_as_they_were() -> None:
    first, second = grouped({"neuron": {"name": "detector"}})
    computed = GROUPED["circuits"][0]["groups"]["boxes"]
    assert first == computed[0] | {"label": "detector"}
    assert second == computed[1]


def test_a_new_group_takes_its_nodes_from_the_others() -> None:
    first, second, new = grouped(
        {"group 1": {"name": "channel", "nodes": ["mlp_out/0/2", "attn_in/1/2"]}}
    )
    assert first["nodes"] == ["mlp_neuron/0/0"]
    assert (first["incoming"], first["outgoing"]) == (0, 2)
    assert (first["interchange"], first["carrier"]) == (0.1, "mlp_neuron/0/0")
    assert second["nodes"] == ["v/1/0"]
    assert (second["incoming"], second["outgoing"]) == (3, 0)
    assert (new["name"], new["label"]) == ("group 1", "channel")
    assert (new["incoming"], new["outgoing"], new["layers"]) == (2, 3, [0, 1])
    assert new["carrier"] == "mlp_out/0/2"


def test_a_group_is_taken_apart() -> None:
    (left,) = grouped({"neuron": {"nodes": []}})
    assert left["name"] == "head 1.0"
    assert left["incoming"] == 0  # what stands alone is no group


def test_figures_of_computed_groups_are_found_again() -> None:
    computed = GROUPED["circuits"][0]["groups"]["boxes"]
    again = grouped({box["name"]: {"nodes": box["nodes"]} for box in computed})
    assert again == computed


def test_groups_that_do_not_fit() -> None:
    told = copy.deepcopy(GROUPED)
    groups = {
        "neuron": {"nodes": "v/1/0"},
        "head 1.0": {"nodes": ["v/1/0", "v/9/9", 3, "answer/0/9"]},
        "new": {"nodes": ["v/1/0"]},
        "other": {"name": "x"},
    }
    parts = {"groups": groups, "nodes": {"v/1/0": {"nodes": []}}}
    with pytest.raises(Refusal) as refused:
        notes.bake(told, {"version": 1, "circuits": {"t/honest": parts}}, "f.json")
    for offence in (
        "neuron: nodes: wanted a list, got 'v/1/0'",
        "head 1.0: nodes: 'v/9/9': not a node",
        "head 1.0: nodes: 3: not a node",
        "head 1.0: nodes: 'answer/0/9': not a node",
        "new: nodes: v/1/0 is also in head 1.0",
        "other: not in this circuit",
        "v/1/0: nodes: no such field",
    ):
        assert offence in str(refused.value)
    assert told == GROUPED
