"""A circuit whose every weight is known, drawn as a graph."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from matplotlib import image
from matplotlib.transforms import Bbox

from sparsetx import nodes
from sparsetx.circuits.circuit import Circuit, load_circuit, name_of
from sparsetx.circuits.explain import activations, explanation
from sparsetx.circuits.explain.explanation import Explanation
from sparsetx.cli.main import main
from sparsetx.cli.plot import shortest
from sparsetx.plots import circuit_drawing, circuit_layout
from sparsetx.plots.circuit_layout import ANSWER, TOKEN, Layout, Line
from sparsetx.tasks.pairs import Pairs
from tests import runs
from tests.circuits import compiled, handmade, known

Drawn = tuple[Circuit, Explanation, Pairs, Any]


@pytest.fixture(scope="module")
def run() -> Path:
    return runs.once("known", lambda folder: known.made(folder) and None) / "run"


@pytest.fixture(scope="module")
def drawn(run: Path) -> Drawn:
    circuit, pairs = load_circuit(known.cut(run).folder), known.pairs(run)
    sample = activations.of(circuit, pairs.tokens_BL, pairs.position_B)
    token = known.tokenizer(run).token
    explained = explanation.of(circuit, pairs, sample, token, edges=0)
    return circuit, explained, shortest(pairs), token


@pytest.fixture(scope="module")
def layout(drawn: Drawn) -> Layout:
    circuit, explained, pair, token = drawn
    return circuit_layout.of(circuit, explained.graph, pair, token)


def test_every_node_and_edge_has_its_place(drawn: Drawn, layout: Layout) -> None:
    circuit = drawn[0]
    inside = {n for key, c in layout.columns.items() if 0 <= key[0] < 2 for n in c}
    assert inside == {name_of(node) for node in compiled.CIRCUIT}
    ends = {(line.src, line.dst, line.weight) for line in layout.lines if line.edge}
    wanted = {(name_of(e.src), name_of(e.dst)) for e in circuit.edges}
    assert {end[:2] for end in ends} == wanted
    assert len(ends) == compiled.EDGES
    order = [key for key in layout.columns if key[1] not in (TOKEN, ANSWER)]
    assert order == sorted(
        order, key=lambda key: (key[0], nodes.BLOCK_SITES.index(key[1]))
    )
    for line in layout.lines:
        (x0, _), (x1, _) = layout.places[line.src], layout.places[line.dst]
        together = {line.src.split("/")[0], line.dst.split("/")[0]} <= {"q", "k", "v"}
        assert x0 < x1 or together
    assert len(set(layout.places.values())) == len(layout.places)


def test_its_ends_are_the_prompt_and_the_answers(layout: Layout) -> None:
    first, *_, last = layout.columns
    assert (first[1], last[1]) == (TOKEN, ANSWER)
    words = [layout.texts[name] for name in layout.columns[first]]
    assert words[0] == "<|endoftext|>"
    assert "(\" or ('" in words
    answers = {layout.texts[name] for name in layout.columns[last]}
    assert answers == {'")⏎', "')⏎"}
    strong = {layout.texts[name] for name in layout.emphasised}
    assert strong == {"(\" or ('", '")⏎'}
    heights = [layout.places[name][1] for name in layout.columns[first]]
    assert heights == sorted(heights, reverse=True)


def test_lines_are_untangled() -> None:
    columns = {(0, "attn_in"): ["a", "b", "c"], (0, "q"): ["q/0/0", "q/0/1", "q/0/2"]}
    lines = [
        Line("a", "q/0/2", 1.0, edge=True),
        Line("b", "q/0/1", 1.0, edge=True),
        Line("c", "q/0/0", 1.0, edge=True),
    ]
    heads = {(0, 0): ["q/0/0", "q/0/1", "q/0/2"]}
    found = circuit_layout.untangled(columns, lines, heads)
    ends = dict(zip(found[0, "attn_in"], found[0, "q"], strict=True))
    assert ends == {line.src: line.dst for line in lines}


def test_heads_keep_their_nodes_together() -> None:
    heads = {(0, 0): ["q/0/0", "v/0/1"], (0, 1): ["k/0/9", "v/0/8"]}
    column = ["v/0/8", "q/0/0", "k/0/9", "v/0/1"]
    wanted = {"v/0/8": 0.9, "q/0/0": 0.8, "k/0/9": 0.5, "v/0/1": 0.1}
    found = circuit_layout.untangled({(0, "q"): column}, [], heads)[0, "q"]
    assert found in (
        ["q/0/0", "v/0/1", "k/0/9", "v/0/8"], ["k/0/9", "v/0/8", "q/0/0", "v/0/1"],
    )  # fmt: skip
    assert wanted.keys() == set(found)
    at = circuit_layout.heights(found, heads)
    steps = [at[a] - at[b] for a, b in itertools.pairwise(found)]
    assert steps[1] > steps[0]  # heads stand apart
    assert steps[0] == pytest.approx(steps[2])


def test_no_two_texts_overlap(drawn: Drawn, layout: Layout) -> None:
    _, explained, _, _ = drawn
    own = {node.name: node for node in explained.graph.nodes}
    heading = circuit_drawing.title(drawn[0].facts)
    titles = {name_of(node): told.title for node, told in explained.told.items()}
    figure = circuit_drawing.figure_of(layout, own, titles, heading)
    renderer = figure.canvas.get_renderer()
    boxes = [
        (text.get_text(), text.get_window_extent(renderer))
        for text in figure.axes[0].texts
    ]
    whole, legend = figure.bbox, figure.axes[0].get_legend()
    boxes.append(("the legend", legend.get_window_extent(renderer)))
    for i, (text, box) in enumerate(boxes):
        assert whole.x0 <= box.x0, text
        assert box.x1 <= whole.x1, text
        for other, beside in boxes[:i]:
            assert Bbox.intersection(box, beside) is None, (text, other)
    shown = {text for text, _ in boxes}
    assert {*heading, "prompt", "answers", "layer 0", "layer 1"} <= shown
    assert any("type" in text for text in shown)  # what a node does
    circuit_drawing.plt.close(figure)


def test_a_node_without_edges_is_faded(drawn: Drawn, layout: Layout) -> None:
    node = drawn[1].graph.nodes[0].name
    assert node in layout.joined
    lines = [line for line in layout.lines if node not in (line.src, line.dst)]
    alone = Layout(
        layout.columns, lines, layout.texts, layout.emphasised, layout.heads,
        layout.places, layout.tall,
    )  # fmt: skip
    own = {n.name: n for n in drawn[1].graph.nodes}
    figure = circuit_drawing.figure_of(alone, own, {}, ("", ""))
    dots = [c for c in figure.axes[0].collections if len(c.get_offsets()) == len(own)]
    names = [name for name in alone.places if name in own]
    opacity = dict(zip(names, dots[0].get_edgecolors()[:, 3], strict=True))
    circuit_drawing.plt.close(figure)
    assert opacity[node] < 0.5
    assert {x for name, x in opacity.items() if name in alone.joined} == {1.0}


@pytest.mark.parametrize(
    ("text", "shown"),
    [(" a\n", "␣a⏎"), ("\t$x$", "⇥$x$"), ("\x00", "·"), ("a" * 20, "a" * 12 + "…")],
)
def test_tokens_are_made_visible(text: str, shown: str) -> None:
    assert circuit_layout.visible(text) == shown


def test_the_title_says_what_it_is(drawn: Drawn) -> None:
    name, figures = circuit_drawing.title(drawn[0].facts)
    assert name == "A circuit of quotes, honest"
    assert figures.startswith("11 nodes, 9 edges; on unseen prompts the loss is 0.100")
    assert "0.120" in figures


def test_the_command_writes_it(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file = known.cut(run).folder, run.parent / f"{handmade.TASK}.jsonl"
    ask = ["plot", str(folder), "-o", str(tmp_path)]
    assert main([*ask, "--task-file", str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        str(tmp_path / "circuit.png"), str(tmp_path / "circuit.svg"),
    ]  # fmt: skip
    pixels = image.imread(tmp_path / "circuit.png")
    assert pixels.shape[1] > 1000
    assert pixels.std() > 0
    assert "<svg" in (tmp_path / "circuit.svg").read_text()
    (tmp_path / "circuit.png").unlink()

    assert main(ask) == 0  # the pairs of a task of a file are not known
    said = capsys.readouterr()
    assert "circuit is not drawn: quotes is a task of a file" in said.err
    assert "circuit.png" not in said.out
    assert not (tmp_path / "circuit.png").exists()
