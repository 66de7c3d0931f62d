"""The page's data: complete, equal to the circuit, and small."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.circuits import circuit, facts
from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.page_data import VERSION, Wishes, drawn_graph, payload
from sparsetx.system import files
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress
from tests.circuits import compiled, handmade, known


@pytest.fixture(scope="module")
def told(run: Path) -> dict[str, Any]:
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl")
    return payload(runs_and_circuits.subjects([run]), wishes)


def test_a_circuit_is_complete(told: dict[str, Any]) -> None:
    assert told["version"] == VERSION
    (entry,) = told["circuits"]
    graph = entry["graph"]
    kept = [n for n in graph["nodes"] if "text" not in n]
    assert {circuit.node_of(n["id"]) for n in kept} == compiled.CIRCUIT
    edges = graph["edges"]
    weights = [
        i for i, kind in enumerate(edges["kind"]) if edges["kinds"][kind] == "weight"
    ]
    assert len(weights) == compiled.EDGES
    assert all(edges["cost"][i] > 0.01 for i in weights)  # each is needed
    assert {len(edges[key]) for key in ("src", "dst", "weight", "cost", "kind")} == {
        len(edges["src"])
    }
    assert entry["id"] == f"{handmade.TASK}/honest"
    assert entry["detail"]
    assert entry["controls"] is None
    assert entry["mechanism"][0]["text"].startswith("The two prompts of a pair differ")


def test_its_nodes_are_named(told: dict[str, Any]) -> None:
    nodes = {n["id"]: n for n in told["circuits"][0]["graph"]["nodes"]}
    assert nodes["mlp_neuron/0/0"]["title"] == "quote detector"
    assert "quote type" in nodes["v/1/0"]["title"]
    assert nodes["mlp_neuron/0/0"]["contexts"][0]["name"].startswith("largest")
    assert (
        nodes["mlp_neuron/0/1"]["auc"][0] == 1.0
    )  # the type, where the prompts differ
    assert nodes["attn_out/1/5"]["auc"][1] == 1.0  # and at the end
    assert nodes["attn_out/1/5"]["interchange"] == pytest.approx(1, abs=0.02)
    texts = [n["text"] for n in nodes.values() if "text" in n]
    assert sorted(texts) == sorted(['("', "('", '")\n', "')\n"])


def test_links_join_text_to_the_circuit(told: dict[str, Any]) -> None:
    graph = told["circuits"][0]["graph"]
    names = [n["id"] for n in graph["nodes"]]
    edges = graph["edges"]
    links = {
        (names[s].split("/")[0], names[d], edges["kinds"][k])
        for s, d, k in zip(edges["src"], edges["dst"], edges["kind"], strict=True)
        if edges["kinds"][k] != "weight"
    }
    assert ("token", "mlp_in/0/0", drawn_graph.EMBED) in links
    assert ("mlp_out", "attn_in/1/3", drawn_graph.RESIDUAL) in links
    assert any(src == "attn_out" and kind == drawn_graph.SAYS for src, _, kind in links)
    for path in graph["paths"]:
        assert names[path["nodes"][0]].startswith("mlp_in/0")
        assert names[path["nodes"][-1]] == "attn_out/1/5"


def test_it_is_small_and_plain(told: dict[str, Any]) -> None:
    assert len(json.dumps(told, allow_nan=False)) < 500_000


def test_edges_beyond_what_is_drawn_are_counted(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drawn_graph, "DRAWN", 4)
    wishes = Wishes(run.parent / f"{handmade.TASK}.jsonl", measured=False)
    graph = payload(runs_and_circuits.subjects([run]), wishes)["circuits"][0]["graph"]
    assert graph["left_out"] == compiled.EDGES - 4
    assert graph["edges"]["kind"].count(0) == 4
    drawn = [abs(w) for w in graph["edges"]["weight"][:4]]
    assert min(drawn) >= 2  # the strongest
    assert graph["edges"]["cost"][0] is None
    assert len(graph["rest"]["src"]) == compiled.EDGES - 4  # none is forgotten


EDGES = st.sets(st.tuples(st.integers(0, 40), st.integers(0, 40)))


@given(EDGES)
def test_edges_in_steps_are_the_same_edges(edges: set[tuple[int, int]]) -> None:
    steps = drawn_graph.in_steps(list(edges))
    found, src, dst = [], 0, 0
    for step, to in zip(steps["src"], steps["dst"], strict=True):
        src, dst = src + step, to if step else dst + to
        found.append((src, dst))
    assert found == sorted(edges)


def test_a_circuit_belongs_to_the_run_that_it_lies_in(
    run: Path, tmp_path: Path
) -> None:
    """A run may have been moved, or its path have been relative."""
    moved = tmp_path / "moved"
    shutil.copytree(run, moved)
    (folder,) = (path.parent for path in (moved / "circuits").rglob("circuit.json"))
    (subject,) = runs_and_circuits.subjects([folder])
    assert (subject.run, subject.name) == (moved, "moved")
    (other,) = runs_and_circuits.subjects([shutil.move(folder, tmp_path / "alone")])
    assert other.run == run  # as it was recorded


def test_without_its_pairs_a_circuit_is_still_drawn(run: Path) -> None:
    seen: list[Progress] = []
    (entry,) = payload(runs_and_circuits.subjects([run]), report=seen.append)[
        "circuits"
    ]
    assert "--task-file" in entry["no_prompts"]
    assert len(entry["graph"]["nodes"]) == 11
    assert entry["prompts"] is None
    assert [p.total for p in seen] == [1]


def test_controls_are_copied(run: Path) -> None:
    path = run / "circuits" / handmade.TASK / "controls.json"
    entry = {"name": "seeds", "verdict": "not run", "words": "No.", "seconds": 0}
    try:
        files.write_json(path, {"version": 1, "controls": [entry]})
        found = payload(runs_and_circuits.subjects([run]))["circuits"][0]["controls"]
        assert found[0]["verdict"] == "not run"
        assert "seconds" not in found[0]
        files.write_json(path, {"version": 1})
        with pytest.raises(Refusal, match="it holds no list of them"):
            payload(runs_and_circuits.subjects([run]))
    finally:
        path.unlink()


def test_where_there_is_no_circuit_a_text_says_why(run: Path, tmp_path: Path) -> None:
    for status, words in (
        (facts.NOT_DONE, "does not do this task"),
        (facts.NOT_REACHED, "found no circuit"),
    ):
        told = dataclasses.replace(known.cut(run).facts, status=status, nodes=())
        circuit.save_facts(told, tmp_path / "lost")
        (entry,) = payload(runs_and_circuits.subjects([tmp_path / "lost"]))["circuits"]
        assert words in entry["missing"]
        assert entry["graph"] is None


def test_other_models_are_only_compared(run: Path) -> None:
    folder = run / "circuits" / handmade.TASK
    told = payload(runs_and_circuits.subjects([run, folder]))
    first, other = told["circuits"]
    assert first["id"] != other["id"]
    assert not other["detail"]
    assert other["model"] == 1
    assert other["graph"]["edges"]["weight"]
    assert told["comparison"][0]["ratios"][1]["times"] == "1.0 [1.0, 1.0]"
