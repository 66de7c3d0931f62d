"""The page: whole, safe, and true to the circuits it shows."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from sparsetx import fields, files
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.report import chart, drawing, gather
from sparsetx.circuits.report.page import page
from sparsetx.cli.main import main
from sparsetx.config import RunConfig, SparsityConfig
from sparsetx.errors import Refusal
from tests.circuits import compiled
from tests.circuits.test_circuit import made

HOSTILE = "</script><img src=x onerror=alert(1)>"


def run(folder: Path, name: str, dense: bool = False) -> Path:
    path = folder / name
    sparsity = SparsityConfig(block=1.0, embed=1.0) if dense else SparsityConfig()
    config = RunConfig(model=compiled.CONFIG, sparsity=sparsity)
    files.write_json(path / "config.json", fields.to_json(config))
    files.append_line(path / "metrics.jsonl", '{"step": 1, "validation_loss": 2.25}')
    return path


def add(folder: Path, task: str, edges: int, honest: float = 1.0) -> None:
    size = facts.Size(nodes=11, edges=edges, edges_plus=edges, pairs=2 * edges)
    losses = facts.Losses(
        mean=0.1, frozen=0.11, stochastic=0.12, H=0.12, accuracy=0.99,
        distractor_accuracy=0.98, whole_loss=0.01, whole_accuracy=1.0,
    )  # fmt: skip
    search = facts.Search(honest=honest)
    more = {"size": size, "test": losses, "search": search, "task": task}
    circuit.save(made(**more), folder)


class Tags(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.found.append(tag)


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    paths = [run(tmp_path, "demo"), run(tmp_path, "demo_dense", dense=True)]
    for path, edges in zip(paths, (9, 900), strict=True):
        add(path / "circuits" / "quotes", "quotes", edges)
        add(path / "circuits" / "quotes" / "plain", "quotes", edges // 2, honest=0.0)
    add(paths[0] / "circuits-shuffled-0" / "quotes", "quotes", 400)
    return paths


def test_models_stand_side_by_side(two: list[Path]) -> None:
    found = gather.subjects(two)
    assert [(s.name, s.kind) for s in found] == [
        ("demo", "sparse"),
        ("demo, shuffled 0", "random weights"),
        ("demo_dense", "dense"),
    ]
    assert found[0].loss == 2.25
    text = page(found)
    assert "<td>9.0 [9.0, 9.0]</td>" in text
    assert "<td>100.0 [100.0, 100.0]</td>" in text  # the dense one, times the first
    assert text.count('<svg class="circuit"') == 2
    assert "http" not in text  # needs no network


def test_a_model_that_did_not_reach_the_target_is_marked(two: list[Path]) -> None:
    folder = two[0] / "circuits-shuffled-0" / "quotes"
    lost = dataclasses.replace(
        circuit.load_facts(folder), status=facts.NOT_REACHED, size=facts.Size()
    )
    circuit.save_facts(lost, folder)
    text = page(gather.subjects(two))
    assert "demo, shuffled 0: no circuit reached the target" in text
    assert "<td>0 of 1</td><td>-</td>" in text
    assert "<td>100.0 [100.0, 100.0]</td>" in text  # the dense one is compared still


def test_a_drawing_has_every_node_and_edge() -> None:
    text = drawing.svg(made())
    assert text.count("<circle") == len(compiled.CIRCUIT)
    assert text.count("<line") == compiled.EDGES
    assert text.count('class="carried"') == 2  # detector and type reach their reads
    inside = [float(x) for x in re.findall(r' (?:cx|x1|x2)="([\d.]+)"', text)]
    assert max(inside) <= drawing.layout(made()).width


def test_text_from_data_is_escaped(tmp_path: Path) -> None:
    path = run(tmp_path, "demo")
    add(path / "circuits" / "odd", HOSTILE, 9)
    text = page(gather.subjects([path]))
    assert HOSTILE not in text
    assert "&lt;img src=x" in text
    assert not {"img", "script"} & set(Tags(text).found)


def test_what_was_not_found_is_said(tmp_path: Path) -> None:
    path = run(tmp_path, "demo")
    add(path / "circuits" / "quotes", "quotes", 9)
    undone = dataclasses.replace(made().facts, task="hard", status=facts.NOT_DONE)
    circuit.save_facts(undone, path / "circuits" / "hard")
    text = page(gather.subjects([path]))
    assert "not done by the model" in text


def test_a_curve_of_one_point_is_no_curve() -> None:
    assert chart.curve([(4, 0.7)], 0.15, (9, 0.1)) == ""
    assert "<svg" in chart.curve([(4, 0.7), (9, 0.1)], 0.15, (9, 0.1))


def test_the_command(two: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *map(str, two)]) == 0
    assert (two[0] / "report.html").stat().st_size > 5_000
    assert "open it in a browser" in capsys.readouterr().out
    assert main(["report", str(two[0] / "circuits" / "quotes")]) == 0
    assert main(["report", str(two[0]), "-o", "/dev/null/x.html"]) == 2
    assert "cannot be written to" in capsys.readouterr().err
    assert main(["report", str(two[0].parent)]) == 2
    assert "there is neither" in capsys.readouterr().err


def test_nothing_to_report_on(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="sparsetx prune"):
        gather.subjects([run(tmp_path, "empty")])
