"""Read a folder of prepared tokens: each split is one long array.

A prepared folder holds meta.json (written last: a folder without it is incomplete),
tokenizer.json, and for each split some .npy shards of one stream of tokens: documents
one after another, each preceded by the end-of-text token. Shards are memory-mapped, so
that a split of any size takes no memory. Any context length can be cut from it, and
reading needs only NumPy: accelerator images have neither TFDS nor ArrayRecord.
"""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparsetx.system import files
from sparsetx.system.errors import Refusal, refuse_all

META = "meta.json"
TOKENIZER = "tokenizer.json"
VERSION = 1
SPLITS = ("train", "validation")


@dataclass(frozen=True)
class Stream:
    """The tokens of a split, stored in consecutive shards."""

    name: str
    shards: Sequence[np.ndarray]

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.shards)

    def windows(self, starts: np.ndarray, length: int) -> np.ndarray:
        """[len(starts), length]: the tokens from each start on."""
        place = starts[:, None] + np.arange(length)
        if place.size and (place.min() < 0 or place.max() >= len(self)):
            raise IndexError(f"{self.name} has {len(self)} tokens, not {place.max()}")
        if len(self.shards) == 1:
            return np.asarray(self.shards[0][place])
        ends = np.cumsum([len(shard) for shard in self.shards])
        out = np.empty(place.shape, self.shards[0].dtype)
        which = np.searchsorted(ends, place, side="right")
        for i in np.unique(which):
            here = which == i
            begin = ends[i] - len(self.shards[i])
            out[here] = self.shards[i][place[here] - begin]
        return out


@dataclass(frozen=True)
class Prepared:
    """A prepared folder: its description (meta.json) and its splits."""

    path: Path
    meta: dict[str, Any]

    @property
    def fingerprint(self) -> str:
        """A hash of tokens and tokenizer."""
        return str(self.meta["fingerprint"])

    @property
    def vocab_size(self) -> int:
        return int(self.meta["vocab_size"])

    @property
    def tokenizer_path(self) -> Path:
        return self.path / TOKENIZER

    def split(self, name: str) -> Stream:
        shards = []
        for entry in self.meta["splits"][name]["shards"]:
            path = self.path / entry["file"]
            try:
                shard = files.map_array(path)
            except Exception as error:  # whatever a broken header makes NumPy raise
                raise Refusal(
                    f"the prepared data at {self.path} is damaged: {path.name} cannot "
                    f"be read ({error}). Remove the folder and prepare it again:\n"
                    f"    {self.meta.get('command', 'sparsetx data prepare …')}"
                ) from error
            if shard.shape != (entry["tokens"],) or str(shard.dtype) != self.dtype:
                raise Refusal(
                    f"the prepared data at {self.path} is damaged: {path.name} should "
                    f"hold {entry['tokens']:,} tokens of {self.dtype}, holds "
                    f"{shard.shape} of {shard.dtype}. Prepare it again"
                )
            shards.append(shard)
        return Stream(f"the {name} split of {self.path}", shards)

    @property
    def dtype(self) -> str:
        return str(self.meta["dtype"])


def default_folder(name: str, vocab: int) -> Path:
    """$SPARSETX_DATA/NAME-VOCAB, or data/NAME-VOCAB."""
    return files.place(os.environ.get("SPARSETX_DATA", "data")) / f"{name}-{vocab}"


def open_prepared(
    path: files.PathLike,
    command: str,
    vocab: int | None = None,
    fingerprint: str | None = None,
) -> Prepared:
    """The prepared data of a folder; if unusable, a Refusal with the command to run."""
    folder = files.place(path)
    if not (folder / META).is_file():
        raise Refusal(
            f"wanted prepared data at {folder}: there is none. Run\n    {command}"
        )
    meta = files.read_json(folder / META, "the description of prepared data")
    if isinstance(meta, dict) and meta.get("version", VERSION) != VERSION:
        raise Refusal(
            f"the data at {folder} is stale: prepared in format {meta['version']}, "
            f"wanted {VERSION}. Remove it and run\n    {meta.get('command', command)}"
        )
    what = f"{folder / META} is not a description of prepared data: {command}"
    refuse_all(what, _offences(meta))
    if vocab is not None and meta["vocab_size"] > vocab:
        raise Refusal(
            f"the data at {folder} has token ids up to {meta['vocab_size'] - 1}, "
            f"beyond the model's vocabulary of {vocab}: set model.vocab_size, or run\n"
            f"    {command}"
        )
    if fingerprint is not None and meta["fingerprint"] != fingerprint:
        raise Refusal(
            f"the data at {folder} has fingerprint {meta['fingerprint']}, but the run "
            f"began on {json.dumps(fingerprint)}: name the folder that it began on "
            "(data.path=…), or start a new run"
        )
    return Prepared(folder, meta)


def _offences(meta: Any) -> list[str]:
    """Errors of a description, such as file names that lead out of its folder."""
    if not isinstance(meta, dict):
        return ["wanted an object with keys"]
    kinds = {"version": int, "fingerprint": str, "vocab_size": int, "splits": dict}
    found = [
        f"{key}: wanted {kind.__name__}, got {type(meta.get(key)).__name__}"
        for key, kind in kinds.items()
        if type(meta.get(key)) is not kind
    ]
    if meta.get("dtype") not in ("uint16", "uint32"):
        found.append("dtype: wanted uint16 or uint32")
    splits = meta.get("splits")
    for name in SPLITS:
        own = splits.get(name) if isinstance(splits, dict) else None
        shards = own.get("shards") if isinstance(own, dict) else None
        if not isinstance(shards, list) or not shards:
            found.append(f"splits.{name}.shards: wanted a list of files")
            continue
        for shard in shards:
            file = shard.get("file") if isinstance(shard, dict) else None
            plain = isinstance(file, str) and re.fullmatch(r"[\w.-]+\.npy", file)
            if not plain or type(shard.get("tokens")) is not int:
                found.append(f"splits.{name}.shards: wanted a file and its tokens")
    return found


def bigram_counts(stream: Stream, vocab: int, tokens: int = 2_000_000) -> np.ndarray:
    """[V, V]: how often each token follows each, in the first `tokens` tokens."""
    counts = np.zeros(vocab * vocab, np.int64)
    end = min(len(stream), tokens)
    step = 1 << 20
    for start in range(0, max(end - 1, 0), step):
        size = min(step, end - 1 - start)
        part = stream.windows(np.array([start]), size + 1)[0].astype(np.int64)
        counts += np.bincount(part[:-1] * vocab + part[1:], minlength=vocab * vocab)
    return counts.reshape(vocab, vocab)
