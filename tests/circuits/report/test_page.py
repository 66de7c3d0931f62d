"""The page: one safe file with a glossary, and the comparison of models."""

import base64
import dataclasses
import hashlib
import importlib.resources
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx import nodes
from sparsetx.circuits import circuit, facts
from sparsetx.circuits.report import runs_and_circuits
from sparsetx.circuits.report.page import SCRIPTS, block, packed, page
from sparsetx.circuits.report.page_data import drawn_graph, model_comparison
from sparsetx.cli.main import main
from sparsetx.config import RunConfig, SparsityConfig
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal
from tests.circuits import compiled
from tests.circuits.test_circuit import made
from tests.house import PACKAGE
from tests.pages import data_of, unpacked

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>"


class Elements(HTMLParser):
    """Every start tag, and the text of each script."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)
        self.inside = tag == "script"
        if self.inside:
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.scripts[-1] += data


@given(st.text() | st.just(HOSTILE) | st.from_regex(r"</?(script|!--)[^a]*>?"))
def test_no_text_ends_the_block(text: str) -> None:
    for write, read in ((block, json.loads), (packed, unpacked)):
        found = Elements(f'<script id="data">{write({text: [text]})}</script>')
        assert found.tags == ["script"]
        assert read(found.scripts[0]) == {text: [text]}


def test_the_page_holds_three_scripts_whatever_the_data() -> None:
    told = {"title": HOSTILE, "deep": [{HOSTILE: HOSTILE}], "engine": {"a": HOSTILE}}
    text = page(told)
    found = Elements(text)
    assert found.tags.count("script") == 3
    assert "img" not in found.tags
    assert data_of(text) == told


@pytest.mark.parametrize("engine", [None, {"absent": HOSTILE}])
def test_why_there_is_no_engine_is_with_the_data(engine: Any) -> None:
    text = page({"title": "x", "engine": engine})
    assert unpacked(Elements(text).scripts[0])["engine"] == engine
    assert data_of(text)["engine"] == engine


def test_it_is_as_small_as_its_data_deflated() -> None:
    same = [{"contexts": [0.25] * 5, "id": f"attn_out/0/{i}"} for i in range(20_000)]
    empty, full = (len(page({"circuits": x})) for x in ([], same))
    assert full - empty < len(json.dumps(same)) / 10


def test_its_policy_lets_only_its_own_script_run() -> None:
    text = page({"title": "x"})
    for tag in ("script", "style"):
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert len(inner) == 1
        digest = base64.b64encode(hashlib.sha256(inner[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in text
    assert "default-src 'none'" in text


def test_it_asks_for_nothing_from_elsewhere() -> None:
    text = page({"title": "x"})
    addresses = set(re.findall(r"https?://[^\s\"']+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name, not an address
    for script in SCRIPTS:
        body = own(f"js/{script}.js")
        assert "innerHTML" not in body
        assert "insertAdjacentHTML" not in body
        assert not re.search(r"\b(eval|fetch|XMLHttpRequest|import)\b *\(", body)


def test_it_ends_in_a_collapsed_glossary() -> None:
    text = page({"title": "x"})
    (box,) = re.findall(r'<details id="glossary"[^>]*>.*?</details>', text, re.DOTALL)
    assert " open" not in box.partition(">")[0]
    assert text.index(box) > text.index('<section id="models"')
    assert 'href="#glossary"' in text.partition("</header>")[0]
    table = (PACKAGE / "circuits/report/GLOSSARY.md").read_text("utf-8")
    terms = re.findall(r"^\| \*\*(.+?)\*\*", table, re.MULTILINE)
    assert len(terms) > 20
    assert re.findall(r"<dt><b>(.+?)</b>", box) == terms
    assert box.count("<dd>") == len(terms)
    assert not re.search(r"[*`|]", box)
    assert "<em>train</em>" in box
    assert "<b>node pairs</b>" in box.lower()
    assert "<code>sparsetx/nodes.py</code>" in box
    assert "τ &gt; 0" in box


def own(name: str) -> str:
    return (
        importlib.resources.files(runs_and_circuits.__package__)
        .joinpath(name)
        .read_text()
    )


def test_no_two_parts_use_a_name_for_different_things() -> None:
    """They are one script, in which the last function of a name would be all."""
    folder = Path(str(importlib.resources.files(runs_and_circuits.__package__))) / "js"
    own = re.compile(r"^(?:async )?(?:function|const|let|class) (\w+)", re.MULTILINE)
    names = Counter(n for p in folder.glob("*.js") for n in own.findall(p.read_text()))
    assert len(names) > 300
    assert [name for name, count in names.items() if count > 1] == []


def test_every_part_is_short_and_used() -> None:
    folder = Path(str(importlib.resources.files(runs_and_circuits.__package__)))
    parts = [p for p in folder.rglob("*") if p.suffix in (".js", ".css", ".html")]
    assert {p.stem for p in parts if p.suffix == ".js"} == set(SCRIPTS)
    for part in parts:
        lines = part.read_text().splitlines()
        assert len(lines) <= 400, part
        assert max(map(len, lines)) <= 88, part


def test_the_script_knows_every_site() -> None:
    known = re.search(r"const SITES = \{(.*?)\}", own("js/model.js"), re.DOTALL)
    assert known
    names = set(re.findall(r"(\w+):", known[1]))
    assert names == {
        *nodes.NODE_SITES,
        nodes.FINAL,
        drawn_graph.TOKEN,
        drawn_graph.ANSWER,
    }


# --- the comparison -----------------------------------------------------------------


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


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    paths = [run(tmp_path, "demo"), run(tmp_path, "demo_dense", dense=True)]
    for path, edges in zip(paths, (9, 900), strict=True):
        add(path / "circuits" / "quotes", "quotes", edges)
        add(path / "circuits" / "quotes" / "plain", "quotes", edges // 2, honest=0.0)
    add(paths[0] / "circuits-shuffled-0" / "quotes", "quotes", 400)
    return paths


def test_models_stand_side_by_side(two: list[Path]) -> None:
    found = runs_and_circuits.subjects(two)
    assert [(s.name, s.kind) for s in found] == [
        ("demo", "sparse"),
        ("demo, shuffled 0", "random weights"),
        ("demo_dense", "dense"),
    ]
    assert model_comparison.models(found)[0]["loss"] == 2.25
    plain, honest = model_comparison.comparison(found)
    assert plain["rows"] == [{"task": "quotes", "sizes": [4, None, 450]}]
    assert honest["ratios"][0]["edges"] == "9.0 [9.0, 9.0]"
    assert honest["ratios"][2]["times"] == "100.0 [100.0, 100.0]"


def test_a_model_that_did_not_reach_the_target_is_marked(two: list[Path]) -> None:
    folder = two[0] / "circuits-shuffled-0" / "quotes"
    lost = dataclasses.replace(
        circuit.load_facts(folder), status=facts.NOT_REACHED, size=facts.Size()
    )
    circuit.save_facts(lost, folder)
    _, honest = model_comparison.comparison(runs_and_circuits.subjects(two))
    assert honest["rows"][0]["sizes"] == [9, None, 900]
    assert honest["ratios"][1] == {
        "reached": 0, "edges": None, "times": None, "pairs": None,
    }  # fmt: skip
    assert honest["ratios"][2]["times"] == "100.0 [100.0, 100.0]"


def test_one_model_alone_is_compared_with_nothing(two: list[Path]) -> None:
    alone = runs_and_circuits.subjects([two[1]])
    assert list(model_comparison.comparison(alone)) == []


def test_the_command(two: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", *map(str, two)]) == 0
    assert (two[0] / "report.html").stat().st_size > 50_000
    assert "open it in a browser" in capsys.readouterr().out
    assert main(["report", str(two[0] / "circuits" / "quotes")]) == 0
    assert main(["report", str(two[0]), "-o", "/dev/null/x.html"]) == 2
    assert "cannot be written to" in capsys.readouterr().err
    assert main(["report", str(two[0].parent)]) == 2
    assert "there is neither" in capsys.readouterr().err


def test_nothing_to_report_on(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="sparsetx prune"):
        runs_and_circuits.subjects([run(tmp_path, "empty")])
