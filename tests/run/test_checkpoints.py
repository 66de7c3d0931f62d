"""Checkpoints are restored bit for bit; damaged ones are found and set aside."""

import gc
import resource
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from sparsetx.config import MeshConfig
from sparsetx.model import mesh
from sparsetx.run import checkpoints
from sparsetx.run.checkpoints import Checkpoints, Damaged
from sparsetx.system.errors import Refusal


def tree(step: int = 0) -> dict[str, Any]:
    w = jnp.arange(256.0).reshape(16, 16) + step
    return {
        "params": {"a": {"w": w, "b": jnp.full(3, 0.1, jnp.bfloat16)}},
        "optimiser": {"0": {"count": jnp.int32(step)}, "1": {}},
        "step": jnp.int32(step),
    }


def like(what: dict[str, Any]) -> dict[str, Any]:
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), what
    )


def saved(run: Path, steps: list[int], keep: int = 2) -> Path:
    saver = Checkpoints(run, keep)
    for step in steps:
        saver.save(step, tree(step), {"told": "so"})
    saver.close()
    return run


def resumed(run: Path) -> tuple[Any, list[str]]:
    notices: list[str] = []
    saver = Checkpoints(run)
    found = saver.resume(like(tree()), notices.append)
    saver.close()
    return found, notices


def equal(found: Any, wanted: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_the_newest_steps_stay_and_come_back(tmp_path: Path) -> None:
    saved(tmp_path, [1, 2, 3])
    assert checkpoints.steps(tmp_path) == [2, 3]
    found, notices = resumed(tmp_path)
    equal(found, tree(3))
    assert notices == []
    facts = checkpoints.read_facts(tmp_path, 3)
    assert (facts["told"], facts["step"]) == ("so", 3)
    equal(checkpoints.read_params(tmp_path, 2), tree(2)["params"])


def test_every_so_many_steps_are_kept_for_ever(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path, keep_last=1, keep_every=2)
    for step in range(1, 6):
        saver.save(step, tree(step), {})
    saver.close()
    assert checkpoints.steps(tmp_path) == [2, 4, 5]


def test_nothing_saved_is_nothing_to_resume(tmp_path: Path) -> None:
    assert resumed(tmp_path) == (None, [])
    assert checkpoints.steps(tmp_path / "nowhere") == []


def test_buffers_may_be_reused_when_save_returns(tmp_path: Path) -> None:
    """The step is written meanwhile, and is there when it has been waited for."""
    saver = Checkpoints(tmp_path)
    mine = tree(7)
    mine["params"]["large"] = jnp.ones(2**23)  # takes a while to write
    wanted = jax.tree.map(np.array, mine)
    saver.save(7, mine, {})
    take = jax.jit(lambda t: jax.tree.map(lambda x: x * 0, t), donate_argnums=0)
    jax.block_until_ready(take(mine))
    saver.wait()
    assert checkpoints.steps(tmp_path) == [7]
    equal(checkpoints.read_params(tmp_path, 7), wanted["params"])
    assert checkpoints.check(tmp_path, 7)
    saver.close()


def test_a_save_waits_for_the_one_before(tmp_path: Path) -> None:
    saver = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        saver.save(step, tree(step), {})
        assert checkpoints.steps(tmp_path)[-1:] in ([step], [step - 1], [])
        assert step - 1 in [0, *checkpoints.steps(tmp_path)]
    saver.check()  # nothing has failed
    saver.close()
    assert checkpoints.steps(tmp_path) == [2, 3]


# Orbax's writing thread outlives the loop that a failed save ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_save_that_fails_in_the_background_is_told_once(tmp_path: Path) -> None:
    """By `check`, as soon as it has failed; the same process may then save again."""
    saver = Checkpoints(tmp_path)
    saver.save(1, tree(1), {})
    saver.wait()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        large = tree(2) | {"large": jax.random.normal(jax.random.key(0), (2**16,))}
        saver.save(2, large, {})
        with pytest.raises(checkpoints.Unsaved) as told:
            until(saver)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert "the state could not be saved" in str(told.value)
    assert "step 1 is the last" in str(told.value)
    saver.check()
    saver.save(3, tree(3), {})
    saver.close()
    assert checkpoints.steps(tmp_path) == [1, 3]
    gc.collect()  # what is left of the failed write goes here


def until(saver: Checkpoints) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        saver.check()
        time.sleep(0.01)


def test_on_other_devices(tmp_path: Path) -> None:
    """Saved from eight devices, read by one, by two, and as NumPy."""
    eight = mesh.make(MeshConfig(None, 8), 8)
    rows = NamedSharding(eight, PartitionSpec(mesh.FSDP))
    spread = tree(5)
    spread["params"]["a"]["w"] = jax.device_put(spread["params"]["a"]["w"], rows)
    saver = Checkpoints(tmp_path)
    saver.save(5, spread, {})
    saver.close()
    assert checkpoints.checksums(spread) == checkpoints.checksums(tree(5))
    equal(resumed(tmp_path)[0], tree(5))
    equal(checkpoints.read_params(tmp_path, 5), tree(5)["params"])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(bytes(data))


def largest(run: Path, step: int) -> Path:
    """The file in which Orbax put the arrays."""
    files = (run / "checkpoints" / str(step) / "state" / "d").iterdir()
    return max(files, key=lambda p: p.stat().st_size)


DAMAGES = {
    "a flipped bit": lambda run: flip(largest(run, 2)),
    "a truncated file": lambda run: largest(run, 2).write_bytes(b"short"),
    "a missing file": lambda run: largest(run, 2).unlink(),
    "an empty step": lambda run: (
        shutil.rmtree(run / "checkpoints" / "2"),
        (run / "checkpoints" / "2").mkdir(),
    ),
    "no facts": lambda run: shutil.rmtree(run / "checkpoints" / "2" / "facts"),
}


@pytest.mark.parametrize("damage", DAMAGES)
# Orbax's reading thread outlives the event loop that a broken file ended.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_damaged_step_is_set_aside_and_the_one_before_is_taken(
    tmp_path: Path, damage: str
) -> None:
    saved(tmp_path, [1, 2])
    DAMAGES[damage](tmp_path)
    found, notices = resumed(tmp_path)
    equal(found, tree(1))
    assert len(notices) == 1
    assert "step 2 is damaged" in notices[0]
    assert [p.name for p in (tmp_path / "quarantine").iterdir()] == ["2-0"]
    saved(tmp_path, [2])  # nothing stands in the way
    equal(resumed(tmp_path)[0], tree(2))


def test_a_wrong_value_is_told_by_its_checksum(tmp_path: Path) -> None:
    """Files that are intact but hold other values: only checksums find this."""
    saved(tmp_path, [1])
    path = tmp_path / "checkpoints" / "1" / "facts" / "metadata"
    name = "params/a/w"
    right = checkpoints.read_facts(tmp_path, 1)["checksums"][name]
    path.write_text(path.read_text().replace(str(right), str(right ^ 1)))
    with pytest.raises(Damaged, match="checksum of params/a/w is not the one"):
        checkpoints.read_params(tmp_path, 1)


@settings(max_examples=60)
@given(st.integers(0, 63), st.integers(0, 31), st.integers(0, 15))
def test_every_flipped_bit_changes_the_checksum(place: int, bit: int, low: int) -> None:
    wide = np.arange(64, dtype=np.float32).reshape(8, 8)
    small = np.arange(64).astype(jnp.bfloat16)
    before = checkpoints.checksums({"wide": wide, "small": small})
    wide.view(np.uint32).reshape(-1)[place] ^= np.uint32(1 << bit)
    small.view(np.uint16)[place] ^= np.uint16(1 << low)
    after = checkpoints.checksums({"wide": wide, "small": small})
    assert after["wide"] != before["wide"]
    assert after["small"] != before["small"]


def test_swapped_entries_change_the_checksum() -> None:
    x = np.arange(6, dtype=np.float32)
    assert checkpoints.checksums({"x": x}) != checkpoints.checksums(
        {"x": x[::-1].copy()}
    )


def test_another_models_arrays_are_refused_by_name(tmp_path: Path) -> None:
    saved(tmp_path, [1])
    other = tree()
    other["params"]["a"]["w"] = jnp.zeros((16, 17))
    other["params"]["a"]["extra"] = jnp.zeros(2)
    saver = Checkpoints(tmp_path)
    with pytest.raises(Refusal) as refused:
        saver.resume(like(other), print)
    saver.close()
    assert "params/a/w: wanted (16, 17), got (16, 16)" in str(refused.value)
    assert "params/a/extra: wanted (2,), got nothing" in str(refused.value)


def test_a_step_is_not_saved_twice(tmp_path: Path) -> None:
    saved(tmp_path, [3])
    saver = Checkpoints(tmp_path)
    with pytest.raises((RuntimeError, ValueError), match=r"3"):
        saver.save(2, tree(2), {})
    saver.close()
