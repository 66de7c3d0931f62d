"""The first minute: a prompt types itself, scenes are tried in the model, claims are
performed, and the ladder says under what the circuit holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sparsetx.circuits.report.page import page
from tests.browser.cdp import Browser, Page

TEXT = "document.getElementById('{}').innerText"


@pytest.fixture(params=[1280, 390])
def read(browser: Browser, known_page: str, request: Any) -> Iterator[Page]:
    found = browser.page(request.param, 844, still=True)
    found.open(known_page)
    found.until("document.getElementById('trial').dataset.warm")
    yield found
    assert found.complaints() == []
    found.close()


def text(page: Page, place: str) -> str:
    return str(page.js(TEXT.format(place))).replace("\u2212", "-")


def scene(page: Page, kind: str) -> None:
    """Go to a scene by its button."""
    for number in range(page.js("document.querySelectorAll('#scenes li').length")):
        page.click(f"#scenes li:nth-child({number + 1}) button")
        if page.js("document.getElementById('picture').dataset.scene") == kind:
            return
    raise AssertionError(f"no scene is about {kind}")


def test_the_first_screen_is_a_picture_and_a_sentence(read: Page) -> None:
    assert read.js("document.getElementById('picture').getBoundingClientRect().top") < (
        200
    )
    before = read.js(
        "document.body.innerText.split(document.getElementById('saying').innerText)[0]"
    )
    assert before.count(". ") + before.count(".\n") <= 2  # what it asks, what it is
    assert "decide between" in text(read, "intro")
    assert read.js("document.querySelectorAll('#scenes li').length") <= 6
    assert read.js("document.querySelectorAll('.wires .look').length") > 0
    assert text(read, "answers").count("%") == 2


def test_each_step_says_what_it_is(read: Page) -> None:
    spilt = read.js(
        "[...document.querySelectorAll('#scenes button')].filter(b => {"
        "const [o, i] = [b, b.querySelector('span')].map(e => "
        "e.getBoundingClientRect()); return !i || i.width < 24 || i.left < o.left || "
        "i.right > o.right || i.top < o.top || i.bottom > o.bottom || "
        "o.right > innerWidth || !/^\\d+ \\D+/.test(b.textContent); })"
        ".map(b => b.textContent)"
    )
    assert spilt == []
    assert read.js("document.querySelectorAll('#scenes button').length") > 2
    assert read.js("document.documentElement.scrollWidth") <= read.js("innerWidth")


def test_the_prompt_types_itself_unless_motion_is_not_wanted(
    browser: Browser, known_page: str
) -> None:
    unsaid = "document.querySelectorAll('.unsaid').length"
    watch = (
        "window.most = 0; new MutationObserver(() => { window.most = Math.max("
        f"window.most, {unsaid}); }}).observe(document, {{subtree: true, "
        "childList: true, attributes: true})"
    )
    for still in (False, True):
        found = browser.page(1280, 844, still=still)
        found.call("Page.addScriptToEvaluateOnNewDocument", source=watch)
        found.open(known_page)
        found.until("!document.querySelector('.typing')")
        assert found.js(unsaid) == 0
        assert (found.js("window.most") < 3) == still
        found.close()
    found = browser.page(1280, 844)
    found.open(known_page)
    found.key("Tab")  # any key ends it
    assert found.js(unsaid) == 0
    found.close()


def test_swapping_what_decides_flips_the_answer(read: Page) -> None:
    before = text(read, "answers")
    read.click("#try")
    assert "the answer flips" in text(read, "outcome")
    assert "In the circuit" in text(read, "outcome")
    assert "In the whole model" in text(read, "outcome")
    assert text(read, "answers") != before
    assert read.js("document.getElementById('try').getAttribute('aria-pressed')") == (
        "true"
    )
    assert read.js("document.getElementById('text-a').textContent") == read.js(
        "document.getElementById('text-b').textContent"
    )
    read.click("#try")
    assert text(read, "answers") == before
    assert text(read, "outcome") == ""


@pytest.mark.parametrize("kind", ["attention", "value", "answers"])
def test_a_scene_lights_its_part_and_is_tried(read: Page, kind: str) -> None:
    before = text(read, "answers")
    scene(read, kind)
    lit = "'.node.hit, .node.pinned, .box.hit, .box.chosen'"
    hits = read.js(f"document.querySelectorAll({lit}).length")
    assert hits > 0  # in the whole drawing, too
    if kind != "answers":
        assert read.js("document.querySelectorAll('.part.lit').length") == 1
    read.click("#try")
    assert " nats" in text(read, "outcome")
    assert text(read, "answers") != before
    assert read.js("document.querySelectorAll('#acts li').length") > 0
    assert text(read, "reading").count("Changed: ") == 1
    assert "Before this change the circuit answered" in text(read, "reading")
    read.click("#next")  # another scene starts from the model as it is
    assert text(read, "answers") == before
    assert read.js("document.querySelectorAll('#acts li').length") == 0
    assert "Changed: " not in text(read, "reading")


def test_a_scene_lights_the_boxes_of_its_nodes(
    read: Page, known_told: dict[str, Any]
) -> None:
    (circuit,) = (c for c in known_told["circuits"] if c.get("story"))
    boxes = circuit["groups"]["boxes"]
    numbers = {n["id"]: i for i, n in enumerate(circuit["graph"]["nodes"])}
    for place, told in enumerate(circuit["story"]):
        read.click(f"#scenes li:nth-child({place + 1}) button")
        asked = set(told["nodes"])
        wanted = [i for i, box in enumerate(boxes) if asked & set(box["nodes"])]
        lit = "[...document.querySelectorAll({})].map(e => Number(e.dataset.{}))"
        open_ = read.js(lit.format("'.box.open'", "box"))
        nodes = [i for k in open_ for i in boxes[k]["nodes"]]
        assert sorted(
            read.js(lit.format("'.box.hit, .box.open'", "box"))
        ) == sorted(wanted)  # fmt: skip
        assert set(read.js(lit.format("'.node.hit, .node.pinned'", "node"))) == {
            numbers[name]
            for name in asked
            if name in nodes or not any(name in box["nodes"] for box in boxes)
        }


def test_both_deciding_tokens_and_a_prompt_of_ones_own(read: Page) -> None:
    scene(read, "limits")
    read.click("#try")
    said = text(read, "saying")
    assert '("' in said
    assert "('" in said
    read.put("#prompt-text", "print('red")
    assert text(read, "saying").replace("\n", "").endswith("print('red")
    assert read.js("document.getElementById('text-a').textContent") == "print('red"
    assert text(read, "answers").startswith("circuit")


ODD = "[...document.querySelectorAll('.said.odd')].map(e => [e.innerText, e.className])"


def test_a_text_of_ones_own_is_explained(read: Page) -> None:
    before = text(read, "reading")
    assert "Type any text" in before
    assert "ooks most at" in before
    assert ", in prompt B " in before
    for side, answer in (("A", '"'), ("B", "'")):
        place = f"document.getElementById('text-{side.lower()}')"
        given = read.js(f"{place}.textContent")
        own = given.replace("print", "sprint") + " red"
        read.put("#prompt-text", own)
        said = text(read, "reading")
        assert "ooks most at" in said
        assert f"as in prompt {side}" in said
        assert f"The circuit answers {answer})" in said
        odd = read.js(ODD)  # of all tokens, only the one that decides
        assert len(odd) == 1
        assert odd[0][0] == f"({answer}"
        assert f" odd {side.lower()}" in odd[0][1]
    read.put("#prompt-text", "")
    assert text(read, "reading") == "There is no text yet."
    assert read.js("document.querySelectorAll('.wires .look').length") == 0


def test_a_value_lies_between_those_of_the_prompts(read: Page) -> None:
    place = "parseInt(document.querySelector('.part .track i').style.left)"
    assert read.js(place) < 5
    read.click("#side-b")
    assert read.js(place) > 95
    yard = read.js("document.querySelector('.part .yard').innerText")
    assert "A " in yard
    assert "B " in yard


def test_no_curve_runs_through_the_text_box(read: Page) -> None:
    low = "document.getElementById('picture').getBoundingClientRect().bottom"
    top = "document.getElementById('prompt-text').getBoundingClientRect().top"
    assert read.js(low) <= read.js(top)
    assert read.js(
        "[...document.querySelectorAll('.wires path')].every(p => { const b = "
        f"p.getBoundingClientRect(); return b.bottom <= {low} + 1; }})"
    )


def test_the_find_box_is_the_readers(read: Page) -> None:
    scene(read, "value")
    assert read.js("document.getElementById('query').value") == ""
    many = read.js("document.getElementById('query').placeholder")
    assert many.endswith("chosen nodes")
    assert many.split()[0] + " nodes chosen" in text(read, "panel")
    read.click("#panel button")
    assert read.js("document.querySelectorAll('.box.hit').length") == 0
    assert "head 3" in read.js("document.getElementById('query').placeholder")


def test_prompt_b_can_be_chosen(read: Page) -> None:
    read.click("#side-b")
    assert "('" in text(read, "saying")
    assert "')" in text(read, "answers").split("%")[0]
    read.click("#try")
    assert "the answer flips" in text(read, "outcome")


def test_a_claim_is_performed(read: Page) -> None:
    read.click("#steps .swap")
    assert "the answer flips" in text(read, "steps")
    read.click("#steps .swap")
    assert "flips" not in text(read, "steps")
    flips = 0
    for button in range(read.js("document.querySelectorAll('#steps .knock').length")):
        knock = f"[...document.querySelectorAll('#steps .knock')][{button}]"
        read.js(f"{knock}.click()")
        came = read.js(f"{knock}.parentElement.querySelector('.came').innerText")
        assert came.count("the answer ") == 2
        flips += "flips" in came
        read.js(f"{knock}.click()")
    assert flips > 0


def test_the_ladder_says_under_what_it_holds(read: Page) -> None:
    told = text(read, "ladder")
    assert "other nodes at their means" in told
    assert "holds \u2713" in told
    assert "loss 0.100 nats, wanted: ≤ 0.15" in told
    (held, tested) = (told.count(word) for word in ("holds", "loss"))
    assert f"Does it hold alone? In {held} of {tested} tests" in text(read, "rungs")
    before = read.js("location.hash")
    read.click("#rungs a")
    top = "document.getElementById('controls-title').getBoundingClientRect().top"
    assert -1 <= read.js(top) < 844  # parts of a pixel
    assert read.js("location.hash") == before


def test_without_its_weights_the_story_is_still_told(
    browser: Browser, known_told: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page(known_told | {"engine": {"absent": "it is too large"}}))
    found = browser.page(1280, 844, still=True)
    found.open(path.as_uri())
    assert found.js("document.getElementById('try').hidden")
    assert found.js("document.querySelectorAll('#prompt-text, .to-prompt').length") == 0
    found.put("#pair", 1)  # another given pair can still be chosen
    assert "2 of" in text(found, "shown-pair")
    found.click("#next")
    found.click("#invite button")
    assert "print" in text(found, "saying")
    assert found.complaints() == []
    found.close()
