"""Write the tokens of a split to .npy shards, document by document."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from sparsetx.system import files

SHARD = 1 << 26  # tokens: 128 MiB of uint16


def dtype_of(vocab_size: int) -> str:
    """The narrowest type that holds every id."""
    return "uint16" if vocab_size <= 1 << 16 else "uint32"


class ShardWriter:
    """`add` documents, then `close`. Only complete shards are ever on the disk."""

    def __init__(self, folder: Path, split: str, dtype: str, shard: int = SHARD):
        self.folder, self.split, self.dtype, self.shard = folder, split, dtype, shard
        self.waiting: list[np.ndarray] = []
        self.held = 0
        self.shards: list[dict[str, Any]] = []
        self.content = hashlib.sha256()  # of the tokens, however they are sharded
        self.tokens = self.documents = self.bytes = 0

    def add(self, eot: int, ids: list[int], size: int) -> None:
        """Add one document of `size` bytes, preceded by the end-of-text token."""
        tokens = np.array([eot, *ids], self.dtype)
        self.waiting.append(tokens)
        self.held += len(tokens)
        self.tokens += len(tokens)
        self.documents += 1
        self.bytes += size
        if self.held >= self.shard:
            self._write()

    def _write(self) -> None:
        whole = np.concatenate(self.waiting)
        self.waiting, self.held = [], 0
        self.content.update(whole.astype(whole.dtype.newbyteorder("<")).tobytes())
        name = f"{self.split}-{len(self.shards):05}.npy"
        with files.writer(self.folder / name) as file:
            np.save(file, whole, allow_pickle=False)
        self.shards.append({"file": name, "tokens": len(whole)})

    def close(self) -> dict[str, Any]:
        """Write the last shard; returns this split's entry for meta.json."""
        if self.waiting:
            self._write()
        return {
            "tokens": self.tokens,
            "documents": self.documents,
            "bytes": self.bytes,
            "sha256": self.content.hexdigest(),
            "shards": self.shards,
        }
