"""The page: one file that opens anywhere, without a network.

Data goes in as one block of JSON, in which no `<` is left: a corpus may hold anything.
The page's own script puts text into text nodes alone, and the page's policy lets
nothing run but that script, and nothing be fetched.
"""

import base64
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from typing import Any

SCRIPTS = (
    "dom", "state", "model", "layout", "drawing", "panel", "account", "stepper",
    "charts", "tables", "minis", "export", "main",
)  # fmt: skip


def page(payload: Mapping[str, Any]) -> str:
    style = "\n" + _own("page.css")
    body = "".join(_own(f"js/{name}.js") for name in SCRIPTS)
    script = f'\n"use strict";\n(() => {{\n{body}}})();\n'
    policy = f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}"
    parts = {"policy": policy, "style": style, "script": script, "data": block(payload)}
    text = _own("page.html")
    for name, part in parts.items():
        before, after = text.split("{" + name + "}")
        text = before + part + after
    return text


def block(payload: Mapping[str, Any]) -> str:
    """JSON that ends no element, opens none, and is no comment."""
    text = json.dumps(payload, separators=(",", ":"), allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _own(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text("utf-8")
