"""What was compiled once: compiling for a pod takes minutes, and its result is a text.

Kept by a hash of the program, of the compiler, and of what it was compiled for.
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
    """The compiler's work: the program's text, its memory, and how long it took."""

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
    """From the cache, or made and put there."""
    path = (folder or FOLDER) / f"{name}.json"
    if path.exists():
        try:
            return _read(files.read_json(path, "a compiled program"))
        except (ValueError, KeyError, TypeError, zlib.error):
            pass  # half a file, or another version's: made again
    found = make()
    files.make_folder(path.parent)
    packed = base64.b85encode(zlib.compress(found.text.encode())).decode()
    value = {"text": packed, "memory": asdict(found.memory), "seconds": found.seconds}
    files.write_json(path, value)
    return found


def _read(value: Any) -> Made:
    text = zlib.decompress(base64.b85decode(value["text"])).decode()
    return Made(text, Memory(**value["memory"]), float(value["seconds"]))
