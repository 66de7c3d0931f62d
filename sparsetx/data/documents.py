"""Sources of texts: the tinypython grammar, the standard library, the user's files.

Every source is an iterator of `Document`s in a fixed order. A document's hash decides
its split, so that equal documents are in the same split, and a document stays in its
split when the corpus grows.
"""

import glob
import gzip
import hashlib
import json
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsetx.data.grammar.document import document
from sparsetx.system.errors import Refusal, refuse_all

TRAIN, VALIDATION = "train", "validation"
VALIDATION_SHARE = 0.02  # of documents
SUFFIXES = (".py", ".txt", ".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Document:
    text: str
    source: str  # a path, a path and line, or a seed and index


@dataclass(frozen=True)
class Provenance:
    """Origin and licence of a corpus, recorded with all data made from it."""

    origin: str
    licence: str


TINYPYTHON = Provenance(
    "programs written by the grammar of sparsetx.data.grammar",
    "the licence of sparsetx",
)
STDLIB = Provenance(
    f"the standard library of Python {sys.version.split()[0]}",
    "PSF-2.0: Python Software Foundation License Version 2",
)
PACKAGES = Provenance(
    f"the standard library of Python {sys.version.split()[0]} and installed packages",
    "PSF-2.0, and for each installed package its own licence",
)
FILES = Provenance("files of the user", "known to the user only")


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:16]


def split_of(mark: bytes) -> str:
    """The split of the document with this digest."""
    share = int.from_bytes(mark[:4], "big") / 2**32
    return VALIDATION if share < VALIDATION_SHARE else TRAIN


def distinct(documents: Iterable[Document]) -> Iterator[tuple[str, Document]]:
    """(split, document), without empty documents and duplicates."""
    seen: set[bytes] = set()
    for found in documents:
        mark = digest(found.text)
        if mark not in seen and found.text.strip():
            seen.add(mark)
            yield split_of(mark), found


def check_splits(counts: dict[str, int]) -> None:
    """Refuse a corpus with an empty split. counts: {split: documents}."""
    empty = [split for split, count in counts.items() if not count]
    if empty:
        raise Refusal(
            f"wanted documents for train and for validation, but of "
            f"{sum(counts.values())} different ones none falls into "
            f"{' or '.join(empty)} (one in {1 / VALIDATION_SHARE:.0f} is for "
            "validation, by its hash): give more, or smaller, documents"
        )


def tinypython(
    seed: int = 0, start: int = 0, drills: bool = False
) -> Iterator[Document]:
    """Programs of the grammar, without end."""
    index = start
    while True:
        yield Document(document(seed, index, drills), f"{seed}/{index}")
        index += 1


def stdlib(packages: bool = False) -> Iterator[Document]:
    """Modules of this Python's library; files that are not UTF-8 are left out."""
    paths = sysconfig.get_paths()
    roots = [Path(paths["stdlib"])]
    if packages:
        roots += [Path(place) for place in {paths["purelib"], paths["platlib"]}]
    for root in sorted(roots):
        for path in sorted(root.rglob("*.py")):
            inside = path.relative_to(root)
            if "site-packages" in inside.parts or "dist-packages" in inside.parts:
                continue
            try:
                text = path.read_text(encoding="utf-8")
            except (UnicodeDecodeError, OSError):
                continue  # such files test the handling of other encodings
            yield Document(text, str(inside))


def matching(patterns: Sequence[str]) -> list[Path]:
    """The files that match the user's globs, once each, sorted."""
    if not patterns:
        raise Refusal("wanted files to read, got none: give --files GLOB")
    found: set[Path] = set()
    offences = []
    for pattern in patterns:
        hits = [Path(hit) for hit in glob.glob(pattern, recursive=True)]
        hits = [hit for hit in hits if hit.is_file()]
        found.update(hits)
        if not hits:
            offences.append(f"{pattern}: no file matches")
    wrong = sorted(path for path in found if not path.name.endswith(SUFFIXES))
    offences += [f"{path}: wanted one of {', '.join(SUFFIXES)}" for path in wrong[:20]]
    refuse_all("these cannot be read", offences)
    return sorted(found)


def files(paths: Sequence[Path], field: str = "text") -> Iterator[Document]:
    """A document per .py or .txt file and per line of .jsonl; errors come last."""
    offences: list[str] = []
    for path in paths:
        try:
            if path.name.endswith((".jsonl", ".jsonl.gz")):
                yield from _lines(path, field, offences)
            else:
                yield Document(path.read_text(encoding="utf-8"), str(path))
        except UnicodeDecodeError as error:
            offences.append(f"{path}: not UTF-8 text (at byte {error.start})")
        except (OSError, EOFError) as error:
            offences.append(f"{path}: {error.__class__.__name__}: {error}")
    if len(offences) > 20:
        offences[20:] = [f"and {len(offences) - 20} more"]
    refuse_all("these cannot be read", offences)


def _lines(path: Path, field: str, offences: list[str]) -> Iterator[Document]:
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                offences.append(f"{path}, line {number}: not JSON ({error})")
                continue
            text = row.get(field) if isinstance(row, dict) else None
            if not isinstance(text, str):
                offences.append(f"{path}, line {number}: no text in a field {field!r}")
            elif any("\ud800" <= letter <= "\udfff" for letter in text):
                offences.append(f"{path}, line {number}: half a surrogate pair")
            else:
                yield Document(text, f"{path}:{number}")
