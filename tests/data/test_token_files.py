"""A prepared folder: memory-mapped reading, and errors for what does not fit."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsetx.data import token_files
from sparsetx.system.errors import Refusal

COMMAND = "sparsetx data prepare tinypython"


def prepared(folder: Path, **changes: Any) -> Path:
    """A folder with two shards of training tokens and one of validation."""
    folder.mkdir(exist_ok=True)
    splits: dict[str, Any] = {}
    for split, parts in (("train", ([0, 1, 2], [3, 4])), ("validation", ([5, 6],))):
        shards = []
        for i, part in enumerate(parts):
            file = f"{split}-{i}.npy"
            np.save(folder / file, np.array(part, np.uint16))
            shards.append({"file": file, "tokens": len(part)})
        splits[split] = {"shards": shards}
    meta = {"version": token_files.VERSION, "fingerprint": "abc", "vocab_size": 7}
    meta |= {"dtype": "uint16", "splits": splits, "command": COMMAND} | changes
    (folder / token_files.META).write_text(json.dumps(meta))
    return folder


def test_shards_are_one_stream(tmp_path: Path) -> None:
    data = token_files.open_prepared(
        prepared(tmp_path), COMMAND, vocab=7, fingerprint="abc"
    )
    train = data.split("train")
    assert len(train) == 5
    assert train.windows(np.array([0, 1, 2]), 3).tolist() == [
        [0, 1, 2], [1, 2, 3], [2, 3, 4],
    ]  # fmt: skip
    with pytest.raises(IndexError, match="has 5 tokens, not 5"):
        train.windows(np.array([3]), 3)
    assert data.split("validation").windows(np.array([0]), 2).tolist() == [[5, 6]]
    assert (data.vocab_size, data.fingerprint) == (7, "abc")


def test_bigram_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = np.random.default_rng(0).integers(0, 5, 1000).astype(np.uint16)
    source = token_files.Stream("x", np.array_split(tokens, 3))
    counts = token_files.bigram_counts(source, 5)
    wanted = np.zeros((5, 5), int)
    np.add.at(wanted, (tokens[:-1], tokens[1:]), 1)
    np.testing.assert_array_equal(counts, wanted)
    assert token_files.bigram_counts(source, 5, tokens=101).sum() == 100


def test_default_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSETX_DATA", raising=False)
    assert token_files.default_folder("stdlib", 512) == Path("data/stdlib-512")
    monkeypatch.setenv("SPARSETX_DATA", "/elsewhere")
    assert token_files.default_folder("stdlib", 512) == Path("/elsewhere/stdlib-512")


@pytest.mark.parametrize(
    ("changes", "expected", "message"),
    [
        ({"version": 0}, {}, "stale: prepared in format 0, wanted 1"),
        ({"version": 0, "command": "do this"}, {}, "Remove it and run\n    do this"),
        ({}, {"vocab": 6}, "token ids up to 6, beyond the model's vocabulary of 6"),
        ({}, {"fingerprint": "xyz"}, 'has fingerprint abc, but the run began on "xyz"'),
    ],
)
def test_refused_folders(
    tmp_path: Path, changes: Any, expected: Any, message: str
) -> None:
    with pytest.raises(Refusal, match=message):
        token_files.open_prepared(prepared(tmp_path, **changes), COMMAND, **expected)


def test_folders_that_hold_no_data(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"there is none. Run\n    sparsetx data prepare"):
        token_files.open_prepared(tmp_path, COMMAND)
    (tmp_path / token_files.META).write_text('{"version": 1}')
    with pytest.raises(Refusal, match="is not a description of prepared data"):
        token_files.open_prepared(tmp_path, COMMAND)


def test_damaged_shards_are_named(tmp_path: Path) -> None:
    folder = prepared(tmp_path)
    shard = folder / "train-1.npy"
    shard.write_bytes(shard.read_bytes()[:-1])
    data = token_files.open_prepared(folder, COMMAND)
    with pytest.raises(Refusal, match=r"damaged: train-1.npy cannot be read"):
        data.split("train")
    np.save(shard, np.array([1], np.uint16))
    with pytest.raises(Refusal, match=r"train-1.npy should hold 2 tokens of uint16"):
        data.split("train")
    shard.unlink()
    with pytest.raises(Refusal, match="sparsetx data prepare tinypython"):
        data.split("train")
