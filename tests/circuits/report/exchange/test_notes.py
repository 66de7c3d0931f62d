"""Notes in a page's data, and every way in which they do not fit."""

import copy
from typing import Any

import pytest

from sparsetx.circuits.report.exchange import notes
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
