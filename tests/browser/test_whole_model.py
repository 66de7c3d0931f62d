"""All tasks' circuits over one drawing of the model."""

import copy
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report.page import page
from tests.browser.cdp import Browser
from tests.circuits import compiled

MOVED = ("mlp_neuron/0/1", "mlp_neuron/0/3")  # in the second task, another neuron


@pytest.fixture
def two_tasks(known_told: dict[str, Any], tmp_path: Path) -> str:
    """The page with the known circuit again, as one of another task."""
    told = copy.deepcopy(known_told)
    (first,) = told["circuits"]
    other = copy.deepcopy(first) | {"task": "others", "id": "others/honest"}
    for node in other["graph"]["nodes"]:
        if node["id"] == MOVED[0]:
            node["id"] = MOVED[1]
    told["circuits"].append(other)
    path = tmp_path / "page.html"
    path.write_text(page(told))
    return path.as_uri()


@pytest.mark.parametrize("wide", [1280, 390])
def test_nodes_are_shown_with_the_tasks_that_they_serve(
    browser: Browser, two_tasks: str, wide: int
) -> None:
    found = browser.page(wide, 844, still=True)
    found.open(two_tasks)
    found.until("document.querySelectorAll('#minis .mini').length > 0")
    found.until("document.getElementById('trial').dataset.warm")
    kept = len(compiled.CIRCUIT)
    marks = "document.querySelectorAll('.lanes rect:not(.tall)').length"
    shared = "document.querySelectorAll('.lanes rect.tall').length"
    assert found.js(marks) == 2 * kept
    assert found.js(shared) == kept - 1
    titles = found.js(
        "[...document.querySelectorAll('.lanes rect:not(.tall) title')]"
        ".map(t => t.textContent)"
    )
    assert "neuron 1: quotes" in titles
    assert "neuron 3: others" in titles
    assert "neuron 0: quotes, others" in titles
    words = found.js("document.getElementById('whole-model').innerText")
    assert f"{kept + 1} nodes serve 2 tasks: {kept - 1} of them more than one" in words
    names = found.js(
        "[...document.querySelectorAll('.lanes')].map(e => e.getAttribute("
        "'aria-label'))"
    )
    assert "layer 0, mlp_neuron: 3 nodes, 1 of several tasks" in names
    found.click("#whole-model summary")
    assert (
        found.js("document.querySelectorAll('#whole-model details[open] tr').length")
        == kept  # a head and a row for each shared node
    )
    found.click("#whole-model .key a[href*=others]")
    found.until("document.getElementById('task').value === 'others'")
    assert found.js("document.documentElement.scrollWidth") <= wide
    assert found.complaints() == []
    found.close()


def test_one_task_has_no_such_view(browser: Browser, known_page: str) -> None:
    found = browser.page(1280, 844, still=True)
    found.open(known_page)
    assert found.js("document.getElementById('whole').hidden")
    found.close()
