"""`sparsetx report` with notes of a reader, and with graphs for other programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from sparsetx.cli.main import main
from tests import runs
from tests.circuits import handmade, known
from tests.pages import data_of

CIRCUIT = f"{handmade.TASK}/honest"
NEURON, VALUE = "mlp_neuron/0/0", "v/1/0"


@pytest.fixture(scope="module")
def folder() -> Path:
    return runs.once("known", lambda folder: known.made(folder) and None)


@pytest.fixture
def ask(folder: Path, tmp_path: Path) -> list[str]:
    file = str(folder / f"{handmade.TASK}.jsonl")
    page = str(tmp_path / "page.html")
    return [
        "report",
        str(folder / "run"),
        "--task-file",
        file,
        "--no-costs",
        "-o",
        page,
    ]


def notes(parts: dict[str, Any], path: Path) -> str:
    path.write_text(json.dumps({"version": 1, "circuits": {CIRCUIT: parts}}))
    return str(path)


def told(page: Path) -> dict[str, Any]:
    """The circuit's data in a page."""
    (circuit,) = data_of(page.read_text())["circuits"]
    found: dict[str, Any] = circuit
    return found


def test_notes_are_in_the_page_and_in_the_graph(ask: list[str], tmp_path: Path) -> None:
    parts = {
        "nodes": {VALUE: {"name": "which quote", "note": "it <b>decides</b>"}},
        "groups": {"of mine": {"note": "two of them", "nodes": [VALUE, NEURON]}},
        "prompts": {"1B": {"name": "short"}},
    }
    file = notes(parts, tmp_path / "notes.json")
    graph = tmp_path / "graph.json"
    assert main([*ask, "--notes", file, "--graph", str(graph)]) == 0
    circuit = told(tmp_path / "page.html")
    node = next(n for n in circuit["graph"]["nodes"] if n["id"] == VALUE)
    assert (node["label"], node["note"]) == ("which quote", "it <b>decides</b>")
    assert circuit["prompts"]["pairs"][0]["b"]["label"] == "short"
    box = circuit["groups"]["boxes"][-1]
    assert box["name"] == "of mine"
    assert box["members"] == [VALUE, NEURON]
    (written,) = json.loads(graph.read_text())["circuits"]
    nodes = {n["id"]: n for n in written["nodes"]}
    assert nodes[VALUE]["label"] == "which quote"
    assert nodes[VALUE]["group"] == nodes[NEURON]["group"]
    own = written["groups"][nodes[VALUE]["group"]]
    assert (own["note"], own["nodes"]) == ("two of them", [VALUE, NEURON])
    assert all(
        VALUE not in group["nodes"] for group in written["groups"] if group != own
    )


def test_without_notes_there_are_none(ask: list[str], tmp_path: Path) -> None:
    assert main(ask) == 0
    circuit = told(tmp_path / "page.html")
    boxes, nodes = circuit["groups"]["boxes"], circuit["graph"]["nodes"]
    assert not any({"label", "note", "members"} & set(x) for x in [*boxes, *nodes])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not JSON"),
        ("[]", "wanted an object with"),
        (
            json.dumps({"version": 1, "circuits": {CIRCUIT: {"nodes": {"v/9/9": {}}}}}),
            f"{CIRCUIT}: nodes: v/9/9: not in this circuit",
        ),
    ],
)
def test_notes_that_do_not_fit_are_bad_input(
    text: str,
    said: str,
    ask: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "notes.json").write_text(text)
    assert main([*ask, "--notes", str(tmp_path / "notes.json")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "notes.json" in error
    assert "Traceback" not in error
    assert not (tmp_path / "page.html").exists()


def test_a_missing_file_of_notes_is_bad_input(ask: list[str], tmp_path: Path) -> None:
    assert main([*ask, "--notes", str(tmp_path / "none.json")]) == 2


def test_graphs_of_the_first_pair_are_written(ask: list[str], tmp_path: Path) -> None:
    box = {"one group": {"name": "detector", "nodes": [NEURON]}}
    file = notes({"groups": box}, tmp_path / "notes.json")
    graphs = tmp_path / "graphs"
    assert main([*ask, "--notes", file, "--attribution-graphs", str(graphs)]) == 0
    slugs = [f"{handmade.TASK}-honest-1{side}" for side in "ab"]
    assert sorted(path.name for path in graphs.iterdir()) == [
        f"{slug}.json" for slug in slugs
    ]
    pair = told(tmp_path / "page.html")["prompts"]["pairs"][0]
    for side, slug in zip("ab", slugs, strict=True):
        graph = json.loads((graphs / f"{slug}.json").read_text())
        assert graph["metadata"]["slug"] == slug
        assert graph["metadata"]["prompt_tokens"] == pair[side]["tokens"]
        ids = {node["node_id"] for node in graph["nodes"]}
        assert {
            link[end] for link in graph["links"] for end in ("source", "target")
        } <= ids
        named = {name: members for name, *members in graph["qParams"]["supernodes"]}
        neuron = [n["node_id"] for n in graph["nodes"] if NEURON in n["clerp"]]
        assert sorted(named["detector"]) == sorted(neuron)


@pytest.mark.parametrize("option", ["--graph", "--attribution-graphs"])
def test_a_place_that_cannot_be_written_is_bad_input(
    option: str, ask: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ask, option, "/dev/null/x"]) == 2
    assert "/dev/null" in capsys.readouterr().err
