"""A reader's names and notes: edited in the page, kept in its address and in files."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsetx.cli.main import main
from tests import runs
from tests.browser.cdp import Browser, Page
from tests.browser.conftest import opened
from tests.circuits import handmade, known

CIRCUIT = f"{handmade.TASK}/honest"
VALUE = "v/1/0"
HOSTILE = "</script><img src=x onerror=\"document.title='taken'\">"
TOLD = "document.getElementById('notes').innerText"


@pytest.fixture(params=[1280, 390])
def own(
    browser: Browser, told: dict[str, Any], tmp_path: Path, request: Any
) -> Iterator[Page]:
    with opened(browser, told, tmp_path / "page.html", request.param) as found:
        yield found


def write(page: Page, place: str, text: str) -> None:
    """Type into a field, and leave it."""
    page.js(f"document.querySelector({place!r}).closest('details').open = true")
    page.js(f"document.querySelector({place!r}).value = ''")
    page.type(place, text)
    page.js("document.activeElement.blur()")
    page.settled()


def pin(page: Page, node: str) -> None:
    page.put("#query", node)
    page.click("#panel a")
    page.put("#query", "")


def annotate(page: Page) -> None:
    """A note on each kind of thing, and a group of the reader's own."""
    pin(page, VALUE)
    write(page, "#panel [data-field=label]", "which quote")
    write(page, "#panel [data-field=note]", f"read this: {HOSTILE}")
    page.put("#move", "new")
    page.key("Escape")
    write(page, "#panel [data-field=label]", "the type")
    write(page, "#panel [data-field=note]", "made by ❤")
    write(page, "#stepper [data-side=b] [data-field=note]", "easy")


def save(page: Page, folder: Path) -> Path:
    page.browser.call(
        "Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder)
    )
    page.click("#notes .together button:nth-child(2)")
    path, end = folder / "notes.json", time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.05)
    return path


def load(page: Page, path: Path) -> None:
    root = page.call("DOM.getDocument")["root"]["nodeId"]
    found = page.call("DOM.querySelector", nodeId=root, selector="#load-notes")
    page.call("DOM.setFileInputFiles", files=[str(path)], nodeId=found["nodeId"])
    page.settled()


def titles(page: Page) -> list[str]:
    marks = "[...document.querySelectorAll('.box')].map(b => b.ariaLabel)"
    return sorted(page.js(marks))


def test_names_and_notes_are_shown_and_can_be_undone(own: Page) -> None:
    before = titles(own)
    annotate(own)
    assert own.js("document.querySelectorAll('img').length") == 0
    assert "5 of your names" not in own.js(TOLD)
    assert "of your names, notes and groups, kept in this page's address" in own.js(
        TOLD
    )
    assert any(t.startswith("the type (") and "made by ❤" in t for t in titles(own))
    own.put("#query", "which quote")
    assert own.js("document.querySelector('#panel a').textContent") == "which quote"
    own.click("#panel a")
    assert own.js("document.querySelector('#panel h3').textContent") == "which quote"
    assert HOSTILE in own.js("document.querySelector('#panel textarea').value")
    own.put("#query", "")
    own.key("Escape")
    while not own.js("document.querySelector('#notes button').disabled"):
        own.click("#notes button")
    assert titles(own) == before
    assert own.js("new URLSearchParams(location.hash.slice(1)).get('x')") is None


def test_few_notes_are_in_the_address(own: Page, browser: Browser) -> None:
    annotate(own)
    address = own.until("location.hash.includes('x=') && location.href")
    other = browser.page(1280, 900)
    other.open(address)
    assert titles(other) == titles(own)
    other.js(f"location.hash = '#n={VALUE}'")  # an address without notes keeps them
    other.until("document.querySelectorAll('.node.pinned').length === 1")
    assert other.js("document.querySelector('#panel h3').textContent") == "which quote"
    assert other.complaints() == []
    other.close()
    write(own, "#stepper [data-side=a] [data-field=note]", "long " * 500)
    assert "too long for the address" in own.js(TOLD)
    assert own.until("!location.hash.includes('x=')")


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        ("%%%", "cannot be read"),
        (base64.b64encode(b"[]").decode(), "wanted an object"),
        (
            base64.b64encode(
                b'{"version":1,"circuits":{"quotes/honest":{"nodes":{"<img>":{}}}}}'
            ).decode(),
            "<img>: not in this circuit",
        ),
    ],
)
def test_an_address_that_does_not_fit_changes_nothing(
    own: Page, packed: str, said: str
) -> None:
    before = titles(own)
    own.js(f"location.hash = '#x=' + encodeURIComponent({packed!r})")
    own.until("Boolean(document.querySelector('#notes .bad'))")
    assert said in own.js(TOLD)
    assert titles(own) == before
    assert own.js("document.querySelectorAll('#notes img').length") == 0


def test_a_file_goes_from_the_page_to_the_command_and_back(
    own: Page, browser: Browser, tmp_path: Path
) -> None:
    annotate(own)
    file = save(own, tmp_path)
    notes = json.loads(file.read_text())
    parts = notes["circuits"][CIRCUIT]
    assert parts["nodes"] == {
        VALUE: {"name": "which quote", "note": f"read this: {HOSTILE}"}
    }
    assert parts["groups"]["group 1"] == {
        "name": "the type",
        "note": "made by ❤",
        "nodes": [VALUE],
    }
    assert list(parts["prompts"].values()) == [{"note": "easy"}]
    folder = runs.once("known-kinds", known.made_of_two_kinds)
    made = tmp_path / "again.html"
    asked = ["report", str(folder / "run"), "--notes", str(file), "-o", str(made)]
    tasks = ["--task-file", str(folder / f"{handmade.TASK}.jsonl")]
    assert main([*asked, *tasks]) == 0
    other = browser.page(1280, 900)
    other.open(made.as_uri())
    assert titles(other) == titles(own)
    assert "as in this page's file" in other.js(TOLD)
    assert "x=" not in other.js("location.hash")
    again = tmp_path / "again"
    again.mkdir()
    assert json.loads(save(other, again).read_text()) == notes
    assert other.complaints() == []
    other.close()


def test_a_file_is_loaded(
    own: Page, browser: Browser, told: dict[str, Any], tmp_path: Path
) -> None:
    annotate(own)
    file, wanted = save(own, tmp_path), titles(own)
    with opened(browser, told, tmp_path / "fresh.html") as other:
        before = titles(other)
        load(other, file)
        assert other.until(f"{TOLD}.includes('kept in this page')")
        assert titles(other) == wanted
        other.click("#notes button")  # undo
        assert titles(other) == before
        bad = tmp_path / "bad.json"
        bad.write_text('{"version": 1, "circuits": {"gone": {}}}')
        load(other, bad)
        other.until("Boolean(document.querySelector('#notes .bad'))")
        assert "gone: no such circuit" in other.js(TOLD)
        bad.write_text("{")
        load(other, bad)
        other.until(f"{TOLD}.includes('is not JSON')")
        assert titles(other) == before
