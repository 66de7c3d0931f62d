"""The data of a report page, read back from its file."""

import base64
import json
import re
import zlib
from typing import Any


def data_of(text: str) -> dict[str, Any]:
    blocks = re.findall(r'id="(data|engine)">(.*?)</script>', text, re.DOTALL)
    found = dict(blocks)
    assert len(blocks) == len(found) == 2
    engine = json.loads(found["engine"])
    return unpacked(found["data"]) | ({"engine": engine} if engine else {})


def unpacked(block: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(block)))
    return found
