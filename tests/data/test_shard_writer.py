"""Shards: the same content for any shard size, and no incomplete files."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.data.shard_writer import ShardWriter, dtype_of

documents = st.lists(st.lists(st.integers(0, 500), max_size=9), min_size=1, max_size=9)


def test_ids_take_no_more_room_than_they_need() -> None:
    assert [dtype_of(v) for v in (512, 65_536, 65_537)] == [
        "uint16",
        "uint16",
        "uint32",
    ]


@given(docs=documents, size=st.integers(1, 40))
def test_the_stream_does_not_depend_on_the_shards(
    docs: list[list[int]], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    whole = ShardWriter(folder, "whole", "uint16")
    parts = ShardWriter(folder, "parts", "uint16", shard=size)
    for ids in docs:
        whole.add(511, ids, 3)
        parts.add(511, ids, 3)
    one, many = whole.close(), parts.close()
    wanted = [token for ids in docs for token in (511, *ids)]
    read = [np.load(folder / shard["file"]) for shard in many["shards"]]
    assert np.concatenate(read).tolist() == wanted
    assert [len(part) for part in read] == [shard["tokens"] for shard in many["shards"]]
    assert len(one["shards"]) == 1
    for key in ("tokens", "documents", "bytes", "sha256"):
        assert one[key] == many[key]
    assert one["tokens"] == len(wanted)
    assert one["bytes"] == 3 * len(docs)


def test_nothing_is_on_the_disk_before_a_shard_is_full(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, "train", "uint16", shard=6)
    writer.add(9, [1, 2], 2)
    assert list(tmp_path.iterdir()) == []
    writer.add(9, [3, 4], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000.npy"]
    assert len(writer.close()["shards"]) == 1
