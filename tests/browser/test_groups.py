"""Groups of nodes in the page: drawn as boxes, opened, edited and changed together."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.explain import supernodes
from tests.browser import synthetic
from tests.browser.cdp import Browser, Page
from tests.browser.conftest import opened

DRAWN = "document.querySelectorAll('.box').length"
NODES = "document.querySelectorAll('.boxes .node').length"
MANY = 384  # nodes of the synthetic circuit


@pytest.fixture(params=[1280, 390])
def own(
    browser: Browser, told: dict[str, Any], tmp_path: Path, request: Any
) -> Iterator[Page]:
    with opened(browser, told, tmp_path / "page.html", request.param) as found:
        yield found


@pytest.fixture
def wide(browser: Browser, told: dict[str, Any], tmp_path: Path) -> Iterator[Page]:
    with opened(browser, told, tmp_path / "page.html") as found:
        yield found


def boxes(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Of the circuit that is shown first."""
    circuit = next(c for c in told["circuits"] if c["kind"] == "honest")
    found: list[dict[str, Any]] = circuit["groups"]["boxes"]
    return found


def largest(told: dict[str, Any]) -> int:
    sizes = [len(box["nodes"]) for box in boxes(told)]
    return sizes.index(max(sizes))


def outside(page: Page) -> int:
    """Tokens and answers, which are in no group."""
    texts = "document.querySelectorAll('.node .text').length"
    return int(page.js(texts))


def test_it_opens_with_boxes_and_all_their_words(
    own: Page, told: dict[str, Any]
) -> None:
    assert own.js(DRAWN) == len(boxes(told)) <= supernodes.MOST
    assert own.js(NODES) == outside(own) > 0
    for key, box in enumerate(boxes(told)):
        mark = f"document.querySelector('.box[data-box=\"{key}\"]')"
        spoken = own.js(f"{mark}.getAttribute('aria-label')")
        assert box["name"].replace("`", "") in spoken
        count = f"{len(box['nodes'])} node"
        assert count in spoken
        assert count in own.js(f"{mark}.textContent")
        assert own.js(f"{mark}.getAttribute('aria-expanded')") == "false"
    assert own.js("document.documentElement.scrollWidth") <= own.js("innerWidth")
    assert "Click a box to open it" in own.js(
        "document.getElementById('panel').innerText"
    )


def test_boxes_do_not_overlap_and_words_fit(own: Page, told: dict[str, Any]) -> None:
    own.click(f".box[data-box='{largest(told)}']")
    apart(own, told)
    own.click(f".box[data-box='{largest(told)}']")
    for key in range(len(boxes(told))):
        own.click(f".box[data-box='{key}']")
    apart(own, told)


def apart(own: Page, told: dict[str, Any]) -> None:
    frames = own.js(
        "[...document.querySelectorAll('.box:not(.open) > .back, .frame')].map(r => "
        "['x', 'y', 'width', 'height'].map(a => Number(r.getAttribute(a))))"
    )
    assert len(frames) == len(boxes(told))
    for i, (x, y, w, h) in enumerate(frames):
        for a, b, c, d in frames[i + 1 :]:
            assert x + w <= a or a + c <= x or y + h <= b or b + d <= y
    spilt = own.js(
        "[...document.querySelectorAll('.box')].filter(b => {"
        "const r = b.firstChild.getBoundingClientRect();"
        "return [...b.querySelectorAll('text')].some(t => {"
        "const s = t.getBoundingClientRect();"
        "return s.left < r.left || s.right > r.right || s.bottom > r.bottom + 1; });"
        "}).map(b => b.textContent)"
    )
    assert spilt == []


ALIKE = (
    "layer 1 neurons: quote type at the end (layer {})",
    "layer 1 writes: token detector (layer {} attention)",
    "head 1.0: reads `␣`, at the last token (on `(`, from head {}.14)",
)


@pytest.mark.parametrize("size", [1280, 390])
@pytest.mark.parametrize("name", ALIKE)
def test_titles_that_differ_at_their_ends_are_drawn_so(
    browser: Browser, told: dict[str, Any], tmp_path: Path, size: int, name: str
) -> None:
    told = copy.deepcopy(told)
    for key, box in enumerate(boxes(told)):
        box["name"] = name.format(key)
    titles = (
        "[...document.querySelectorAll('.box')].map(b => "
        "[...b.querySelectorAll('.does')].map(t => t.textContent).join('|'))"
    )
    with opened(browser, told, tmp_path / "page.html", size) as own:
        drawn = own.js(titles)
        assert len(set(drawn)) == len(drawn) == len(boxes(told))
        if name == ALIKE[0]:  # short parentheses are on one line
            assert all("(layer " in told for told in drawn)
        apart(own, told)
        for key in range(len(boxes(told))):
            own.click(f".box[data-box='{key}']")
        drawn = own.js(titles)
        assert len(set(drawn)) == len(drawn)
        apart(own, told)


def test_arrows_sum_what_python_summed(wide: Page, told: dict[str, Any]) -> None:
    circuit = next(c for c in told["circuits"] if c["kind"] == "honest")
    names = [box["name"].replace("`", "") for box in boxes(told)]
    wanted = {
        (names[a["src"]], names[a["dst"]]): a["weight"]
        for a in circuit["groups"]["arrows"]
    }
    assert wanted
    seen: dict[tuple[str, str], float] = {}
    for i in range(int(wide.js("document.querySelectorAll('[data-arrow]').length"))):
        text = wide.js(
            f"(() => {{ const e = document.querySelector('[data-arrow=\"{i}\"]');"
            "e.dispatchEvent(new PointerEvent('pointermove', {bubbles: true}));"
            "return document.getElementById('tip').textContent; })()"
        )
        between = re.fullmatch(r"(.*) → (.*): \d.*; together ([\d.,]+).*", text)
        if between and between[1] in names and between[2] in names:
            seen[between[1], between[2]] = float(between[3].replace(",", ""))
    assert seen == pytest.approx(wanted, rel=6e-3)


def test_a_click_opens_a_box_and_closes_it(own: Page, told: dict[str, Any]) -> None:
    key = largest(told)
    box = f".box[data-box='{key}']"
    texts = outside(own)
    own.click(box)
    inside = boxes(told)[key]["nodes"]
    assert own.js(NODES) == len(inside) + texts
    assert own.js(f'document.querySelector("{box}").ariaExpanded') == "true"
    panel = own.js("document.getElementById('panel').innerText")
    assert f"A group of {len(inside)} node" in panel
    address = own.until("location.hash.includes('o=') && location.hash")
    own.click(".boxes .node circle:not([r='3'])")
    assert own.js("document.querySelectorAll('.node.pinned').length") == 1
    assert own.js("document.querySelectorAll('.edges .dim').length") >= 0
    own.click(box)  # the pinned node is inside: it is let go
    assert own.js(NODES) == texts
    assert own.js("document.querySelectorAll('.node.pinned').length") == 0
    own.js(f"location.hash = {address!r}")
    own.until(f"{NODES} === {len(inside) + texts}")


def test_the_keyboard_is_enough(wide: Page) -> None:
    stops = "document.querySelectorAll('.circuit [tabindex=\"0\"]').length"
    assert wide.js(stops) == 1
    wide.js("document.querySelector('.box[tabindex=\"0\"]').focus()")
    first = wide.js("document.activeElement.dataset.box")
    wide.key("Enter")
    assert wide.js("document.activeElement.dataset.box") == first
    assert wide.js("document.activeElement.ariaExpanded") == "true"
    wide.key("Enter")
    assert wide.js("document.activeElement.ariaExpanded") == "false"
    wide.key("ArrowRight")
    second = wide.js("document.activeElement.getAttribute('aria-label')")
    assert wide.js("document.activeElement.dataset.box") != first
    assert second
    assert wide.js(stops) == 1
    wide.key("ArrowLeft")
    assert wide.js("document.activeElement.dataset.box") == first
    wide.key("Escape")
    assert "How to read it" in wide.js("document.getElementById('panel').innerText")


def test_groups_or_all_nodes(own: Page, told: dict[str, Any]) -> None:
    circuit = next(c for c in told["circuits"] if c["kind"] == "honest")
    own.click("#grouped button:nth-child(2)")
    assert own.js(DRAWN) == 0
    nodes = "document.querySelectorAll('.node').length"
    assert own.js(nodes) == len(circuit["graph"]["nodes"])
    assert own.until("location.hash.includes('g=false')")
    own.click("#grouped button:nth-child(1)")
    assert own.js(DRAWN) == len(boxes(told))
    assert own.js("document.querySelector('#grouped button').ariaPressed") == "true"


def test_the_box_of_a_node_that_is_looked_up_opens(
    wide: Page, told: dict[str, Any]
) -> None:
    wide.type("#query", "mlp_neuron")
    assert wide.js("document.querySelectorAll('.box.hit').length") >= 1
    wide.click("#panel a")
    assert wide.js("document.querySelectorAll('.box.open').length") == 1
    assert wide.js("document.querySelectorAll('.node.pinned').length") == 1
    wide.put("#query", "")
    wide.put("#threshold", 100)
    counts = wide.js("document.getElementById('counts').textContent")
    strong, every = re.findall(r"(\d+) of (\d+) arrow", counts)[0]
    assert 0 < int(strong) < int(every)


def test_a_large_circuit_opens_with_few_boxes(browser: Browser, tmp_path: Path) -> None:
    told = synthetic.payload()
    (circuit,) = (c for c in told["circuits"] if c["id"] == "quotes/honest")
    names = [n["id"] for n in circuit["graph"]["nodes"] if "text" not in n]
    assert len(names) == MANY
    size = MANY // supernodes.MOST
    circuit["groups"] = {
        "boxes": [
            {
                "name": f"{synthetic.HOSTILE} {i}",
                "nodes": names[i * size : (i + 1) * size],
            }
            for i in range(supernodes.MOST)
        ],
        "arrows": [],
    }
    for wide in (1440, 390):
        with opened(browser, told, tmp_path / "large.html", wide) as page:
            assert page.js(DRAWN) == supernodes.MOST
            assert page.js("document.querySelectorAll('.boxes img').length") == 0
            assert page.js("document.documentElement.scrollWidth") <= wide
            for key in range(supernodes.MOST):
                page.click(f".box[data-box='{key}']")
            assert page.js(NODES) == MANY + outside(page)
            inside = (
                "(e => e.scrollHeight - e.clientHeight)(document.querySelector({}))"
            )
            assert page.js(inside.format("'#drawing'")) <= 1  # the page scrolls, not it


# --- Editing --------------------------------------------------------------------------


def pin(page: Page, node: str) -> None:
    page.put("#query", node)
    page.click("#panel a")
    page.put("#query", "")
    page.js("document.querySelector('#panel .edit').open = true")


def members(page: Page) -> dict[str, list[str]]:
    """{box: nodes}, as the page counts them in its boxes."""
    return {
        str(name): list(nodes)
        for name, nodes in page.js(
            "[...document.querySelectorAll('.box')].map(b => "
            "[b.getAttribute('aria-label').split(' (')[0], "
            "b.getAttribute('aria-label').match(/\\d+ nodes?/)])"
        )
    }


def test_a_node_moves_to_another_group_and_back(
    own: Page, told: dict[str, Any]
) -> None:
    key = largest(told)
    node = boxes(told)[key]["nodes"][0]
    other = (key + 1) % len(boxes(told))
    before = members(own)
    pin(own, node)
    assert own.js("document.getElementById('move').value") == str(key)
    own.put("#move", other)
    assert own.js("document.getElementById('move').value") == str(other)
    own.key("Escape")
    after = members(own)
    assert sum(int(n[0].split()[0]) for n in after.values()) == sum(
        int(n[0].split()[0]) for n in before.values()
    )
    assert after != before
    own.click("#notes button")  # undo
    assert members(own) == before


def test_a_group_is_made_named_and_taken_apart(own: Page, told: dict[str, Any]) -> None:
    many, node = len(boxes(told)), boxes(told)[largest(told)]["nodes"][0]
    pin(own, node)
    own.put("#move", "new")
    assert own.js(DRAWN) == many + 1
    assert "In the group group 1" in own.js(
        "document.getElementById('panel').innerText"
    )
    own.key("Escape")
    own.js("document.querySelector('#panel .edit').open = true")
    own.js("document.querySelector('#panel input').focus()")
    own.js("document.querySelector('#panel input').value = 'all <b>mine</b>'")
    own.js("document.querySelector('#panel input').dispatchEvent(new Event('change'))")
    assert (
        own.js("document.querySelector('#panel h3').textContent") == "all <b>mine</b>"
    )
    assert "all <b>mine</b>" in "".join(members(own))
    own.click("#take-apart")
    assert own.js(DRAWN) == many
    assert own.js(NODES) == outside(own) + 1  # it stands alone
    own.click("#notes button")
    assert own.js(DRAWN) == many + 1


def test_a_whole_group_is_changed_in_the_model(own: Page, told: dict[str, Any]) -> None:
    def margin() -> str:
        return str(own.js("document.querySelector('#result-a td').innerText"))

    head = next(i for i, box in enumerate(boxes(told)) if "head" in box["name"])
    before = margin()
    own.click(f".box[data-box='{head}']")
    for act in ("mean", "zero", "patch"):
        button = f"#panel [data-act='{act}']"
        own.click(button)
        assert own.js(f'document.querySelector("{button}").ariaPressed') == "true"
        assert margin() != before
        assert own.js("document.querySelectorAll('#acts li').length") == 1
        count = f"({len(boxes(told)[head]['nodes'])} nodes)"
        assert count in own.js("document.querySelector('#acts li').innerText")
        assert own.js("document.querySelectorAll('.box.changed').length") == 1
        own.click(button)
        assert margin() == before
    own.click("#panel [data-act='patch']")
    assert "-" in margin().replace("\u2212", "-").split("→")[-1]  # the answer turns
    own.click("#undo")
    own.click("#panel [data-act='freeze']")
    assert margin() == before  # frozen at what it is
    own.click("#acts li button")
    assert own.js("document.querySelectorAll('#acts li').length") == 0


def test_a_page_without_groups_shows_nodes(
    browser: Browser, told: dict[str, Any], tmp_path: Path
) -> None:
    bare = copy.deepcopy(told)
    for circuit in bare["circuits"]:
        del circuit["groups"]
    with opened(browser, bare, tmp_path / "bare.html") as page:
        assert page.js(DRAWN) == 0
        assert page.js("document.querySelectorAll('.node').length") > 0
        assert page.js("document.querySelectorAll('#grouped button').length") == 0
