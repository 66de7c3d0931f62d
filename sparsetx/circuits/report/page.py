"""Assemble the report page: one HTML file that opens anywhere, without a network.

Data is JSON, deflated and written in base64, which takes two fifths of the room; no
text of a corpus can end it. The model's weights hardly become smaller, and inflating
them would delay the first picture: they are a block of plain JSON in which no `<` is
left, and are read when the model first runs. The page's own script only puts text into
text nodes, and the page's content security policy allows no other script and no
request.
"""

import base64
import hashlib
import html
import importlib.resources
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

SCRIPTS = (
    "dom", "state", "model", "layout", "drawing", "drag", "groups", "box_layout",
    "box_words", "box_drawing", "box_keys", "overlays", "panel", "group_panel", "notes",
    "mechanism", "stepper", "charts", "tables", "ladder", "side_by_side", "minis",
    "export", "arrays", "tokenizer", "network", "intervention", "live", "acts",
    "prompt_box", "trial", "picture", "reading", "story", "whole_model", "main",
)  # fmt: skip
STYLES = ("page", "groups", "story")


def page(payload: Mapping[str, Any]) -> str:
    style = "\n" + "".join(_own(f"{name}.css") for name in STYLES)
    body = "".join(_own(f"js/{name}.js") for name in SCRIPTS)
    # Asynchronous, because a browser inflates data only so.
    script = f'\n"use strict";\n(async () => {{\n{body}}})();\n'
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}"
    parts = {"policy": policy, "style": style, "script": script}
    engine = payload.get("engine") or {}
    runs = "absent" not in engine and bool(engine)
    told = {**payload, "engine": {}} if runs else payload
    parts |= {"glossary": glossary(), "data": packed(told)}
    parts["engine"] = block(engine if runs else None)
    text = _own("page.html")
    for name, part in parts.items():
        before, after = text.split("{" + name + "}")
        text = before + part + after
    return text


def packed(payload: Mapping[str, Any]) -> str:
    """Data as letters and digits, which can neither end nor open an element."""
    return base64.b64encode(zlib.compress(_json(payload).encode(), 9)).decode()


def block(payload: Any) -> str:
    """JSON that can neither end nor open an element nor start a comment."""
    text = _json(payload)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _json(payload: Any) -> str:
    return json.dumps(payload, separators=(",", ":"), allow_nan=False)


def glossary() -> str:
    """The table of GLOSSARY.md as the items of a definition list."""
    rows = [line for line in _own("GLOSSARY.md").splitlines() if "| **" in line]
    return "\n".join(_entries(rows))


def _entries(rows: list[str]) -> Iterator[str]:
    for row in rows:
        term, meaning = (_marked(part.strip()) for part in row.strip("| ").split("|"))
        yield f"<dt>{term}</dt><dd>{meaning}</dd>"


def _marked(text: str) -> str:
    """Markdown's `code`, **bold** and *emphasis* as elements, all else as text."""
    found = html.escape(text)
    for sign, tag in (("`", "code"), (r"\*\*", "b"), (r"\*", "em")):
        found = re.sub(rf"{sign}(.+?){sign}", rf"<{tag}>\1</{tag}>", found)
    return found


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _own(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")
