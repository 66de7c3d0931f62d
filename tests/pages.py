"""The data of a report page, read back from its file."""

import base64
import json
import re
import zlib
from typing import Any


def data_of(text: str) -> dict[str, Any]:
    (found,) = re.findall(r'id="data">(.*?)</script>', text, re.DOTALL)
    return unpacked(found)


def unpacked(block: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(block)))
    return found
