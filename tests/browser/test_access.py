"""Who reads with a keyboard, a screen reader, a phone, or other eyes; and on paper."""

import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.cdp import Browser, Page

HERE = Path(__file__).parent
# Contrast is computed here: axe 4.4 does not know colours that are mixed in oklab.
RULES = {"rules": {"color-contrast": {"enabled": False}}}
ALL_NODES = "#grouped button:nth-child(2)"  # instead of groups
WIDTHS = {"desk": (1280, 844), "phone": (390, 844)}


@pytest.fixture(params=["desk", "phone"])
def read(browser: Browser, known_page: str, request: Any) -> Iterator[Page]:
    wide, high = WIDTHS[request.param]
    found = browser.page(wide, high, still=True)
    found.open(known_page)
    found.until("document.querySelectorAll('#minis .mini').length > 0")
    found.until("document.getElementById('trial').dataset.warm")
    yield found
    assert found.complaints() == []
    found.close()


def broken(page: Page) -> list[str]:
    """What axe finds: rule, how bad, and the elements."""
    axe = importlib.resources.files("axe_core_python").joinpath("axe.min.js")
    page.js(axe.read_text("utf-8") + "; 0")
    found = page.js(
        f"axe.run(document, {json.dumps(RULES)}).then(r => r.violations.map(v => "
        "v.id + ' (' + v.impact + '): ' + "
        "v.nodes.map(n => n.html.slice(0, 120)).join(' | ')))"
    )
    return [str(line) for line in found]


def test_axe_finds_nothing(read: Page) -> None:
    assert broken(read) == []
    read.click("#try")
    read.click("#scenes li:nth-child(2) button")
    read.click("#steps .knock")
    read.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    read.js("document.querySelector('.box').focus()")
    read.key("Enter")
    assert broken(read) == []
    read.click(ALL_NODES)
    read.js("document.querySelector('.node[data-node=\"3\"]').focus()")
    read.key("Enter")
    assert broken(read) == []


def test_axe_would_find_a_control_without_a_name(read: Page) -> None:
    read.js("document.getElementById('next').textContent = ''; 0")
    assert any(line.startswith("button-name (critical)") for line in broken(read))


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", WIDTHS)
def test_text_has_contrast(
    browser: Browser, known_page: str, size: str, dark: bool
) -> None:
    found = browser.page(*WIDTHS[size], dark=dark, still=True)
    found.open(known_page)
    found.until("document.querySelectorAll('#minis .mini').length > 0")
    check = (HERE / "contrast.js").read_text()
    for step in range(found.js("document.querySelectorAll('#scenes li').length")):
        found.click(f"#scenes li:nth-child({step + 1}) button")
        found.click("#try")
        assert found.js(check) == []
    found.js("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    found.click(".box")
    assert found.js("document.querySelectorAll('.box.open').length") > 0
    assert found.js(check) == []
    found.click(ALL_NODES)
    found.js("document.querySelector('.node[data-node=\"3\"]').focus()")
    found.key("Enter")
    found.put("#step", 4)
    assert found.js(check) == []
    found.js("document.getElementById('sentence').style.color = 'var(--line)'")
    assert len(found.js(check)) > 0  # it would find it
    found.close()


def reached(page: Page) -> list[str]:
    """Where Tab goes, from the start of the page until it leaves it."""
    page.js("document.activeElement.blur(); window.scrollTo(0, 0)")
    found: list[str] = []
    for _ in range(300):
        page.key("Tab")
        here = page.js(
            "(e => e === document.body ? '' : e.id || e.getAttribute('aria-label')"
            " || e.textContent.trim().slice(0, 30))(document.activeElement)"
        )
        if not here or (found and here == found[0] and len(found) > 5):
            break
        found.append(str(here))
    return found


def test_tab_goes_through_the_page_in_its_order(read: Page) -> None:
    found = reached(read)
    link = "edit prompt A at the top of the page"
    order = ["skip", "task", "circuit", "theme", "prompt-text", "pair", "try", "next",
             "query", "freeze", "step", link]  # fmt: skip
    # The last of a name: prompts are shown in several places, each with a way to edit.
    places = [len(found) - 1 - found[::-1].index(name) for name in order]
    assert places == sorted(places)
    unseen = read.js(
        "[...document.querySelectorAll('button, input, select, textarea, summary')]"
        ".filter(e => e.tabIndex >= 0 && e.offsetParent && !e.disabled &&"
        " getComputedStyle(e).visibility === 'hidden').length"
    )
    assert unseen == 0


def test_groups_are_walked_and_opened_by_keys(read: Page) -> None:
    read.js("document.querySelector('.box[tabindex=\"0\"]').focus()")
    here = "document.activeElement.getAttribute('aria-label')"
    walked = {read.js(here)}
    for name in ["ArrowDown", "ArrowRight"] * 8 + ["ArrowUp", "ArrowLeft"] * 8:
        read.key(name)
        walked.add(read.js(here))
    assert len(walked) > 3
    read.js("document.querySelector('.box[tabindex], .box').focus()")
    read.key("Enter")
    assert read.js("document.activeElement.getAttribute('aria-expanded')") == "true"
    assert read.js("document.querySelectorAll('.box.open').length") == 1
    read.key("Enter")
    assert read.js("document.querySelectorAll('.box.open').length") == 0


def walk(page: Page) -> tuple[set[str], set[str]]:
    """What can have the focus in the drawing, and what arrow keys lead to."""
    page.js("document.querySelector('.circuit [tabindex=\"0\"]').focus()")
    here = "(d => d.box ? 'box ' + d.box : 'node ' + d.node)({}.dataset)"
    every = page.js(
        "[...document.querySelectorAll('.circuit [tabindex]')]"
        f".map(e => {here.format('e')})"
    )
    first = page.js(here.format("document.activeElement"))
    met, left = {first}, [first]
    while left:
        kind, number = left.pop().split()
        for name in ("ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"):
            page.js(f"document.querySelector('[data-{kind}=\"{number}\"]').focus()")
            page.key(name)
            found = page.js(here.format("document.activeElement"))
            if found not in met:
                met.add(found)
                left.append(found)
    return set(every), met


def test_arrow_keys_reach_every_box_and_every_node_of_open_ones(read: Page) -> None:
    every, met = walk(read)
    assert len(met) > 3
    assert met == every
    for key in range(read.js("document.querySelectorAll('.box').length")):
        read.click(f".box[data-box='{key}']")
    every, met = walk(read)
    inside = "document.querySelectorAll('.node:not(:has(.text))').length"
    assert sum(name.startswith("node") for name in met) > read.js(inside) > 3
    assert met == every


def test_the_focus_stays_on_a_node_that_is_pinned(read: Page) -> None:
    read.js("document.querySelector('.box').focus()")
    read.key("Enter")
    node = ".node:not(:has(.text))"
    read.js(f"document.querySelector('{node}').focus()")
    number = read.js("document.activeElement.dataset.node")
    read.key("Enter")
    assert read.js("document.querySelector('.node.pinned').dataset.node") == number
    assert read.js("document.activeElement.dataset.node") == number
    assert read.js("document.activeElement.tabIndex") == 0
    assert read.js("document.querySelectorAll('.circuit [tabindex=\"0\"]').length") == 1
    read.key("Escape")
    assert read.js("document.querySelectorAll('.node.pinned').length") == 0
    assert read.js("document.activeElement.dataset.node") == number
    read.js("document.querySelector('.box.open').focus()")
    read.key("Enter")  # the box is closed, and has the focus
    assert read.js("document.querySelectorAll('.box.open').length") == 0
    assert read.js("document.activeElement.matches('.box')")


def test_the_drawing_is_walked_by_arrow_keys(read: Page) -> None:
    read.click(ALL_NODES)
    down = read.js("document.querySelector('.circuit').clientWidth") < 600
    read.js("document.querySelector('.node[tabindex=\"0\"]').focus()")
    number = "Number(document.activeElement.dataset.node)"
    walked = {read.js(number)}
    deeper, along = ("ArrowDown", "ArrowRight") if down else ("ArrowRight", "ArrowDown")
    for name in [along, deeper] * 12:
        read.key(name)
        walked.add(read.js(number))
    assert len(walked) > 3
    name = read.js("document.activeElement.getAttribute('aria-label')")
    read.key("Enter")
    assert read.js("document.querySelector('#panel h3').textContent") in name
    read.key("Escape")
    assert read.js("document.querySelectorAll('.node.pinned').length") == 0


SCROLLS = (
    "[...document.querySelectorAll('body *')].filter(e => e.tagName !== "
    "'TEXTAREA' && ['auto', 'scroll'].some(k => [getComputedStyle(e).overflowX,"
    " getComputedStyle(e).overflowY].includes(k)) && (e.scrollWidth > "
    "e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 1))"
    ".map(e => e.id || e.className)"
)


def test_on_a_phone_layers_go_down_and_nothing_scrolls_inside(
    browser: Browser, known_page: str, large: str
) -> None:
    for address in (known_page, large):
        found = browser.page(390, 844, still=True)
        found.open(address)
        found.until("document.querySelectorAll('#minis .mini').length > 0")
        assert found.js(SCROLLS) == []
        if address == known_page:  # it has groups
            tops = found.js(
                "[...document.querySelectorAll('.bands .step')]"
                ".map(e => Number(e.getAttribute('y')))"
            )
            assert tops == sorted(tops)
            assert len(set(tops)) > 2
            for key in range(found.js("document.querySelectorAll('.box').length")):
                found.click(f".box[data-box='{key}']")
            assert found.js(SCROLLS) == []
            go_down(found)
            found.click(ALL_NODES)
        assert found.js(SCROLLS) == []
        assert found.js("document.documentElement.scrollWidth") <= 390
        go_down(found)
        found.close()


def go_down(page: Page) -> None:
    """Nodes are drawn below what they read from, within the screen."""
    places = page.js(
        "[...document.querySelectorAll('.node')].map(e => [e.ariaLabel, "
        "...e.getAttribute('transform').match(/[\\d.]+/g).map(Number)])"
    )
    reads = [y for name, _, y in places if name.startswith("layer 0 MLP: read")]
    writes = [y for name, _, y in places if name.startswith("layer 0 MLP: write")]
    assert max(reads) < min(writes)
    assert all(0 < x < 390 for _, x, _ in places)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_its_two_colours_differ_for_every_eye(
    browser: Browser, known_page: str, dark: bool
) -> None:
    """Plus and minus, A and B: apart also where red and green look alike."""
    found = browser.page(1280, 844, dark=dark, still=True)
    found.open(known_page)
    up, down = (
        found.js(
            f"(s => {{ s.style.color = 'var(--{name})'; document.body.append(s);"
            "const c = getComputedStyle(s).color.match(/[\\d.]+/g).map(Number);"
            "s.remove(); return c; })(document.createElement('span'))"
        )
        for name in ("up", "down")
    )
    for eye in EYES.values():
        one, other = (
            [sum(w * x for w, x in zip(row, colour, strict=False)) for row in eye]
            for colour in (up, down)
        )
        apart = sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5
        assert apart > 80  # of 255 a channel
    found.close()


# Machado, Oliveira and Fernandes 2009, severity 1.
EYES = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def test_it_is_printed_whole_and_light(browser: Browser, known_page: str) -> None:
    found = browser.page(1280, 844, dark=True, still=True)
    found.open(known_page)
    found.until("document.querySelectorAll('#minis .mini').length > 0")
    found.call(
        "Emulation.setEmulatedMedia",
        media="print", features=[{"name": "prefers-color-scheme", "value": "light"}],
    )  # fmt: skip
    shown = (
        "[...document.querySelectorAll('.tools, .tries, button.see, #change')]"
        ".filter(e => e.offsetParent).length"
    )
    assert found.js(shown) == 0
    assert found.js("document.getElementById('drawing').scrollHeight") <= found.js(
        "document.getElementById('drawing').clientHeight + 1"
    )
    assert found.js("document.documentElement.scrollWidth") <= 1280
    printed = found.call("Page.printToPDF", printBackground=True)["data"]
    assert len(printed) > 20_000
    found.close()
