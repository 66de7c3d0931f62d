"""Cache of compiled programs on disk, since compiling for a pod takes minutes.

The key is a hash of the program, the compiler's version and the target.
"""

import base64
import hashlib
import importlib.metadata
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sparsetx.aot.memory import Memory
from sparsetx.system import files

FOLDER = Path(".cache") / "aot"


@dataclass(frozen=True)
class Made:
    """A compiled program: its text, its memory, and seconds that compiling took."""

    text: str
    memory: Memory
    seconds: float


def key(lowered: Any, target: str) -> str:
    packages = [(d.name, d.version) for d in importlib.metadata.distributions()]
    compilers = sorted(f"{n} {v}" for n, v in packages if n in ("jaxlib", "libtpu"))
    digest = hashlib.sha256()
    for part in (*compilers, target, lowered.as_text()):
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:24]


def made(name: str, make: Callable[[], Made], folder: Path | None = None) -> Made:
    """A program from the cache; if absent, it is compiled and stored."""
    path = (folder or FOLDER) / f"{name}.json"
    if path.exists():
        try:
            return _read(files.read_json(path, "a compiled program"))
        except (ValueError, KeyError, TypeError, zlib.error):
            pass  # an incomplete file, or another version's: compiled again
    found = make()
    files.make_folder(path.parent)
    packed = base64.b85encode(zlib.compress(found.text.encode())).decode()
    value = {"text": packed, "memory": asdict(found.memory), "seconds": found.seconds}
    files.write_json(path, value)
    return found


def _read(value: Any) -> Made:
    text = zlib.decompress(base64.b85decode(value["text"])).decode()
    return Made(text, Memory(**value["memory"]), float(value["seconds"]))
