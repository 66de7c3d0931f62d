"""Prompts of the reader's own, and interventions, on the page of a known circuit."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report.page import page
from tests.browser.cdp import Browser, Page

KEY = 50  # ms from a key to everything drawn anew
CLOSE = 2e-3  # the page's packed margins have four digits
TYPED = "document.getElementById('prompt-text').value"


@pytest.fixture(scope="module")
def told(known_told: dict[str, Any]) -> dict[str, Any]:
    return known_told


@pytest.fixture(params=[1280, 390])
def own(
    browser: Browser, told: dict[str, Any], tmp_path: Path, request: Any
) -> Iterator[Page]:
    path = tmp_path / "page.html"
    path.write_text(page(told))
    found = browser.page(request.param, 900)
    found.open(path.as_uri())
    found.until("document.getElementById('trial').dataset.warm")
    yield found
    complaints, requests = found.complaints(), found.requests()
    found.close()
    assert complaints == []
    assert {r.partition("#")[0] for r in requests} == {path.as_uri()}


def margins(page: Page, side: str) -> list[str]:
    cells = f"#result-{side} td:nth-of-type(1)"
    text = page.js(f"[...document.querySelectorAll('{cells}')].map(e => e.innerText)")
    return [str(x).replace("\u2212", "-") for x in text]


def said(page: Page, side: str) -> str:
    """The text of a prompt, where the model's answers are shown."""
    return str(page.js(f"document.getElementById('text-{side}').textContent"))


def test_the_engine_agrees_with_what_was_packed(
    own: Page, told: dict[str, Any]
) -> None:
    pairs = told["circuits"][0]["prompts"]["pairs"]
    for i, pair in enumerate(pairs):
        own.put("#pair", i)
        for side in "ab":
            wanted = [pair[side]["margin"], pair[side]["whole"]]
            got = [float(x.replace(",", "")) for x in margins(own, side)]
            assert got == pytest.approx(wanted, rel=6e-3, abs=CLOSE)


def test_typing_and_swapping_change_the_answer_and_the_drawing(own: Page) -> None:
    before = margins(own, "a")
    own.click("#prompt-box [data-edit='swap the deciding token']")
    assert float(margins(own, "a")[0]) < 0 < float(before[0])
    assert said(own, "a") == said(own, "b") == own.js(TYPED)
    assert own.js("document.getElementById('shown-pair').innerText").endswith("edited")
    assert own.js(
        "document.querySelector('#sheet-a pre').innerText === "
        "document.querySelector('#sheet-b pre').innerText"
    )
    own.click("#prompt-box [data-edit='as it was']")
    assert margins(own, "a") == before
    given = said(own, "a")
    own.click("#prompt-box [data-edit='add a distractor']")
    assert said(own, "a") == own.js(TYPED)
    assert said(own, "a").splitlines()[-1] == given.splitlines()[-1]
    own.click("#prompt-box [data-edit='as it was']")
    taken = []
    for _ in range(9):
        own.type("#prompt-text", "x")
        taken.append(float(own.js("document.getElementById('trial').dataset.took")))
    print(f"{sorted(taken)} ms a key")
    assert sorted(taken)[4] <= KEY
    own.put("#prompt-text", "x " * 500)
    assert "tokens; the model reads at most" in own.js(
        "document.getElementById('problem').textContent"
    )


LINK = ".to-prompt[data-side={}]"


@pytest.mark.parametrize("section", ["change", "follow", "explorer"])
def test_every_shown_prompt_leads_to_the_one_box_and_back(
    own: Page, section: str
) -> None:
    if section == "explorer" and own.js("innerWidth") < 600:
        return  # phones have no line of text under the drawing
    assert own.js("document.querySelectorAll('textarea:not(details *)').length") == 1
    for side in "ba":
        link = f"#{section} {LINK.format(side)}"
        own.click(link)
        assert own.js("document.activeElement.id") == "prompt-text"
        assert own.js(TYPED) == said(own, side)
        assert f"Prompt {side.upper()}" in own.js(
            "document.getElementById('edits').innerText"
        )
        own.type("#prompt-text", " red")
        for place in (f"#text-{side}", f"#sheet-{side} pre", f".strip .{side} .text"):
            text = own.js(f"document.querySelector('{place}').textContent")
            assert text.endswith(" red"), place
        own.click("#return")
        assert own.js(f"document.activeElement.matches('{link}')")
        assert own.js("document.getElementById('return').hidden")


def test_a_node_is_knocked_out_undone_and_cleared(own: Page) -> None:
    before = margins(own, "a")
    own.click("#steps .knock")
    assert " → " in "".join(margins(own, "a")).replace("\u00a0", " ")
    assert own.js("document.querySelectorAll('#acts li').length") > 0
    own.click("#undo")
    assert margins(own, "a") == before
    own.click("#steps .knock")
    own.click("#clear")
    assert margins(own, "a") == before
    own.js("document.getElementById('freeze').focus()")
    own.key(" ", " ")
    assert own.js("document.getElementById('freeze').checked")
    assert margins(own, "a") == before  # frozen at what it is


def test_without_its_weights_the_page_says_why(
    browser: Browser, told: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(told | {"engine": {"absent": "it is too large"}}))
    found = browser.page(800, 600)
    found.open(path.as_uri())
    assert "cannot run the model: it is too large" in found.js(
        "document.getElementById('trial').textContent"
    )
    assert found.complaints() == []
    found.close()
