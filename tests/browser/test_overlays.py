"""Circuits of other kinds laid over the drawing, in full."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.cdp import Browser, Page
from tests.browser.conftest import opened

OTHER = "#over input[data-kind='plain']"


@pytest.fixture(params=[1280, 390])
def own(
    browser: Browser, told: dict[str, Any], tmp_path: Path, request: Any
) -> Iterator[Page]:
    with opened(browser, told, tmp_path / "page.html", request.param) as found:
        yield found


def of(told: dict[str, Any], kind: str) -> dict[str, Any]:
    """A circuit's kept nodes and weights by name."""
    (circuit,) = (c for c in told["circuits"] if c["kind"] == kind)
    nodes = [n["id"] for n in circuit["graph"]["nodes"]]
    edges = circuit["graph"]["edges"]
    return {
        "all": set(nodes),
        "nodes": {n["id"] for n in circuit["graph"]["nodes"] if "text" not in n},
        "edges": {
            (nodes[src], nodes[dst])
            for src, dst, k in zip(
                edges["src"], edges["dst"], edges["kind"], strict=True
            )
            if edges["kinds"][k] == "weight"
        },
    }


def drawn(page: Page, what: str) -> int:
    return int(page.js(f"document.querySelectorAll({what!r}).length"))


def test_both_circuits_are_drawn_in_full_with_outlines(
    own: Page, told: dict[str, Any]
) -> None:
    plain, honest = of(told, "plain"), of(told, "honest")
    assert plain["nodes"] - honest["nodes"]
    assert honest["nodes"] - plain["nodes"]
    assert drawn(own, ".outline") <= 2  # of the choices only
    own.click(OTHER)
    assert drawn(own, ".node") == len(plain["all"] | honest["all"])
    assert drawn(own, ".edges .weight") == len(plain["edges"] | honest["edges"])
    assert drawn(own, ".node rect.outline.honest") == len(honest["all"])
    assert drawn(own, ".node circle.outline.plain") == len(plain["all"])
    assert drawn(own, ".node.elsewhere") == len(plain["all"] - honest["all"])
    for kind, circuit in (("plain", plain), ("honest", honest)):
        assert drawn(own, f".overlay path.{kind}") == len(circuit["edges"])
    assert own.until("location.hash.includes('w=plain')")
    own.click(OTHER)
    assert drawn(own, ".node .outline") == 0


def test_kinds_differ_by_more_than_colour(own: Page) -> None:
    own.click(OTHER)
    dashes = {
        own.js(
            f"getComputedStyle(document.querySelector('.overlay path.{kind}'))"
            ".strokeDasharray"
        )
        for kind in ("plain", "honest")
    }
    assert len(dashes) == 2
    shapes = own.js(
        "[...document.querySelectorAll('#legend .keymark')].map(k => "
        "k.firstChild.tagName)"
    )
    assert shapes == ["circle", "rect"]


def test_the_legend_counts_and_finds_what_differs(
    own: Page, told: dict[str, Any]
) -> None:
    plain, honest = of(told, "plain"), of(told, "honest")
    own.click(OTHER)
    for kind, circuit in (("plain", plain), ("honest", honest)):
        assert f"{kind}" in own.js("document.getElementById('legend').innerText")
        assert len(circuit["nodes"]) in (11, 12)
    parts = {
        "in all": (plain, honest, set.__and__),
        "only in plain": (plain, honest, set.__sub__),
        "only in honest": (honest, plain, set.__sub__),
    }
    for name, (one, other, join) in parts.items():
        nodes, edges = (
            join(one["nodes"], other["nodes"]),
            join(one["edges"], other["edges"]),
        )
        texts = own.js(
            "[...document.querySelectorAll('#legend .parts button')]"
            ".map(b => b.innerText)"
        )
        (at,) = (i for i, text in enumerate(texts) if text.startswith(name))
        assert texts[at].split(": ")[1].startswith(f"{len(nodes)} node")
        assert f", {len(edges)} edge" in texts[at]
        own.click(f"#legend .parts button:nth-child({at + 1})")
        found = own.js("[...document.querySelectorAll('.node.hit')].length")
        assert found == len(join(one["all"], other["all"]))


def test_a_node_of_the_other_circuit_says_so(own: Page, told: dict[str, Any]) -> None:
    (node,) = of(told, "plain")["nodes"] - of(told, "honest")["nodes"]
    own.click(OTHER)
    own.put("#query", node)
    own.click("#panel a")
    panel = own.js("document.getElementById('panel').innerText")
    assert "In these circuits" in panel
    kinds = own.js("document.querySelector('#panel .kinds').innerText")
    assert "plain" in kinds
    assert "honest" not in kinds
    assert drawn(own, "#panel .acts") == 0  # it is not in the chosen circuit


def test_the_view_can_be_shared_and_groups_take_it_back(
    own: Page, browser: Browser
) -> None:
    own.click(OTHER)
    address = own.until("location.hash.includes('w=') && location.href")
    other = browser.page(1280, 900)
    other.open(address)
    assert drawn(other, ".node .outline") == drawn(own, ".node .outline") > 0
    assert other.complaints() == []
    other.close()
    own.click("#grouped button")
    assert drawn(own, ".box") > 0
    assert not own.js(f'document.querySelector("{OTHER}").checked')
