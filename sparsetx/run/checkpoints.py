"""Save and restore a run's checkpoints, with a checksum of every array.

Orbax writes them, whole or not at all, but does not check what it reads: a bit flipped
on the disk would load without an error. So a checksum of every array is saved beside
the arrays, and a step that does not match is moved to `quarantine` before another is
saved.

`save` returns when the arrays are copied to the host's memory, and the step is written
in the background. One step is written at a time: the next `save` waits for it, and so
do `wait` and `close`. A kill therefore loses at most the steps since the save before
the one in flight: one interval, and what was done in the time of one save.

A step holds two items: `state`, nested dicts of arrays, and `facts`, JSON.
"""

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

from sparsetx.system import files, hosts, signals
from sparsetx.system.errors import Refusal, refuse_all

CHECKPOINTS = "checkpoints"
QUARANTINE = "quarantine"
STATE, FACTS = "state", "facts"
SUMS = "checksums"
PARAMS = "params"
COMMITTED = "commit_success.txt"  # Orbax marks a complete step on a store by it
PATIENCE = 3600  # seconds that a host waits for the others to have written their parts
Tree = Mapping[str, Any]


class Damaged(RuntimeError):
    """A saved step whose content is not what was saved."""


class Unsaved(RuntimeError):
    """A step that could not be written."""


class Checkpoints:
    """The checkpoints of a run that is being trained. One writer at a time."""

    def __init__(
        self, run: files.PathLike, keep_last: int = 2, keep_every: int | None = None
    ):
        self.run = files.absolute(run)
        self.folder = self.run / CHECKPOINTS
        self.options = ocp.CheckpointManagerOptions(
            max_to_keep=keep_last,
            keep_period=keep_every,
            cleanup_tmp_directories=True,
            async_options=ocp.AsyncOptions(timeout_secs=PATIENCE),
        )
        self.manager = _manager(self.run, self.options, self._explained)
        self.in_flight = False

    def save(self, step: int, tree: Tree, facts: Mapping[str, Any]) -> None:
        """Begin to write a step, after the one before it is written. When this returns,
        the buffers of the arrays may be reused."""
        self.wait()
        whole = dict(facts) | {"step": step, SUMS: checksums(tree)}
        own = ocp.args.PyTreeSave(_copied(tree))
        items = {STATE: own, FACTS: ocp.args.JsonSave(whole)}
        self.in_flight = True
        with self._explained():
            saved = self.manager.save(step, args=ocp.args.Composite(**items))
        if not saved:
            raise RuntimeError(
                f"step {step} was not saved: {self.folder} already holds step "
                f"{self.manager.latest_step()}"
            )

    def check(self) -> None:
        """Raise `Unsaved` if the step in flight could not be written; does not wait."""
        if self.in_flight and not self.manager.is_saving_in_progress():
            self.wait()

    def wait(self) -> None:
        """Wait until the step in flight is on the disk; raises `Unsaved` if it cannot
        be written."""
        self.in_flight = False
        with self._explained():
            self.manager.wait_until_finished()

    def close(self) -> None:
        """Wait for the step in flight, and end the threads that write."""
        try:
            self.wait()
        finally:
            self.manager.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn any error of a save, also one inside Orbax, into one sentence."""
        try:
            yield
        except Exception as error:
            last = max(steps(self.run), default=None)
            kept = "no step is saved" if last is None else f"step {last:,} is the last"
            raise Unsaved(
                f"the state could not be saved in {self.folder}: {_short(error)}; "
                f"{kept}. Make room there, and run the same command again"
            ) from error

    def resume(self, like: Tree, notice: Callable[[str], None]) -> Tree | None:
        """The newest undamaged step, sharded as `like`; None if there is none.

        A damaged step is moved to the run's quarantine folder, and the one before it is
        tried. Every host does the same, since all read the same files.
        """
        found = steps(self.run)
        hosts.wait_for_all("steps are listed")  # before any host moves one away
        for step in reversed(found):
            try:
                return self._restore(step, like)
            except Damaged as damage:
                notice(f"step {step} is damaged and will not be used: {damage}")
                self._quarantine(step)
        return None

    def _restore(self, step: int, like: Tree) -> Tree:
        """Each host reads its own part; if one cannot, the step is damaged for all."""
        try:
            facts, tree = self._read_part(step, like)
        except Damaged:
            hosts.on_every_host(False)
            raise
        if not hosts.on_every_host(True):
            raise Damaged("another host cannot read its part")
        _compare(facts, checksums(tree))
        return tree

    def _read_part(self, step: int, like: Tree) -> tuple[dict[str, Any], Tree]:
        facts = read_facts(self.run, step)
        _check_shapes(_metadata(self.run, step), like, self.folder / str(step))
        wanted = ocp.args.PyTreeRestore(
            item=like,
            restore_args=ocp.checkpoint_utils.construct_restore_args(like),
        )
        return facts, _read(self.run, step, wanted)

    def _quarantine(self, step: int) -> None:
        """Move a damaged step away: if it stayed, later saves would be skipped."""
        if jax.process_index() == 0:
            files.move_away(self.folder / str(step), self.run / QUARANTINE)
        hosts.wait_for_all("the step is moved away")
        self.manager.close()
        self.manager = _manager(self.run, self.options, self._explained)


def steps(run: files.PathLike) -> list[int]:
    """The saved steps of a run, oldest first."""
    folder = files.place(run) / CHECKPOINTS
    found = list(folder.glob("*")) if folder.is_dir() else []
    if files.is_remote(
        folder
    ):  # nothing can be renamed there: Orbax writes this file last
        found = [path for path in found if (path / COMMITTED).exists()]
    return sorted(int(path.name) for path in found if path.name.isdecimal())


def read_facts(run: files.PathLike, step: int) -> dict[str, Any]:
    """The facts that were saved beside the arrays of a step."""
    path = files.place(run) / CHECKPOINTS / str(step) / FACTS / "metadata"
    try:
        facts = files.read_json(path, "the facts of a checkpoint")
    except Refusal as error:
        raise Damaged(str(error)) from error
    if not isinstance(facts, dict) or not isinstance(facts.get(SUMS), dict):
        raise Damaged(f"{path} holds no checksums")
    return facts


def read_params(run: files.PathLike, step: int) -> Tree:
    """The parameters of a step as NumPy arrays, whatever mesh they were trained on."""
    params: Tree = _checked(run, step, only=PARAMS)[PARAMS]
    return params


def check(run: files.PathLike, step: int) -> int:
    """Read a whole step and compare its checksums; returns its size in bytes."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(_checked(run, step)))


def _checked(run: files.PathLike, step: int, only: str | None = None) -> Tree:
    facts, wanted = read_facts(run, step), _metadata(run, step)
    if only is not None:
        if only not in wanted:
            raise Damaged(f"it holds no {only}")
        wanted = {only: wanted[only]}
    empty = jax.tree.map(lambda leaf: np.empty(leaf.shape, leaf.dtype), wanted)
    as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), empty)
    args = ocp.args.PyTreeRestore(
        item=empty, restore_args=as_numpy, partial_restore=True
    )
    tree = _read(run, step, args)
    found = checksums(tree)
    _compare(facts, found)
    if only is None and (lost := facts[SUMS].keys() - found.keys()):
        raise Damaged(f"it no longer holds {', '.join(sorted(lost))}")
    return tree


def checksums(tree: Tree) -> dict[str, int]:
    """{path: checksum} of every array; the same on any mesh, changed by any bit."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    names = ["/".join(str(key.key) for key in path) for path, _ in leaves]
    sums = jax.device_get(_sums([leaf for _, leaf in leaves]))
    return dict(zip(names, map(int, sums), strict=True))


@jax.jit
def _sums(leaves: list[jax.Array]) -> list[jax.Array]:
    return [_checksum(leaf) for leaf in leaves]


def _checksum(x: jax.Array) -> jax.Array:
    """Each entry's bits times an odd number made of its index, summed mod 2^32."""
    kind = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[x.dtype.itemsize]
    bits = jax.lax.bitcast_convert_type(x, kind).astype(jnp.uint32)
    place, stride = jnp.zeros_like(bits), 1
    for axis in reversed(range(x.ndim)):
        own = jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
        place += own * np.uint32(stride % 2**32)
        stride *= x.shape[axis]
    odd = place * np.uint32(2654435761) | np.uint32(1)
    return jnp.sum(bits * odd, dtype=jnp.uint32)


def _copied(tree: Tree) -> Tree:
    """Arrays whose memory the next step does not reuse. Orbax copies those of a TPU to
    the host before its `save` returns; those of a CPU it only looks at."""
    leaves, structure = jax.tree.flatten(tree)
    on_cpu = [i for i, leaf in enumerate(leaves) if _is_on_cpu(leaf)]
    copies = _copies([leaves[i] for i in on_cpu])
    for i, copy in zip(on_cpu, copies, strict=True):
        leaves[i] = copy
    copied: Tree = jax.tree.unflatten(structure, leaves)
    return copied


def _is_on_cpu(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and all(
        device.platform == "cpu" for device in leaf.devices()
    )


@jax.jit
def _copies(leaves: list[jax.Array]) -> list[jax.Array]:
    return [jnp.copy(leaf) for leaf in leaves]


def _compare(facts: Mapping[str, Any], found: Mapping[str, int]) -> None:
    wrong = [name for name, value in found.items() if facts[SUMS].get(name) != value]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise Damaged(f"the checksum of {wrong[0]}{more} is not the one that was saved")


class _Part:
    """This host's part of a step while it is written. If it cannot be, the process ends
    here: the others wait for the part, and only this one knows why it does not come."""

    def __init__(self, written: Any, explained: Callable[[], Any]):
        self.written, self.explained = written, explained

    def result(self, timeout: int | None = None) -> Any:
        try:
            with self.explained():
                return self.written.result(timeout)
        except Unsaved as error:
            signals.end(1, f"sparsetx: {error}")


def _arrays(explained: Callable[[], Any]) -> Any:
    """Orbax's handler of arrays; on several hosts it watches what it writes."""
    handler: Any = ocp.PyTreeCheckpointHandler()
    begin = handler.async_save

    async def async_save(*args: Any, **kwargs: Any) -> list[_Part]:
        parts = await begin(*args, **kwargs)
        return [_Part(part, explained) for part in parts or []]

    if jax.process_count() > 1:
        handler.async_save = async_save
    return handler


def _manager(
    run: files.PathLike,
    options: ocp.CheckpointManagerOptions,
    explained: Callable[[], Any] = contextlib.nullcontext,
) -> Any:
    handlers = {STATE: _arrays(explained), FACTS: ocp.JsonCheckpointHandler()}
    folder = files.absolute(run) / CHECKPOINTS
    with _unwarned():
        return ocp.CheckpointManager(folder, options=options, item_handlers=handlers)


@contextlib.contextmanager
def _unwarned() -> Iterator[None]:
    """Silence Orbax's warning that a manager is read-only."""
    log = logging.getLogger("absl")
    before = log.level
    log.setLevel(max(logging.ERROR, before))
    try:
        yield
    finally:
        log.setLevel(before)


def _reading() -> ocp.CheckpointManagerOptions:
    """Options of a read-only manager; Orbax warns of each one that is left out."""
    return ocp.CheckpointManagerOptions(
        read_only=True, save_interval_steps=0, create=False
    )


def _read(run: files.PathLike, step: int, args: Any) -> Tree:
    """The arrays of a step, through a read-only manager."""
    options = _reading()
    try:
        with _manager(run, options) as manager:
            found = manager.restore(step, args=ocp.args.Composite(**{STATE: args}))
    except Exception as error:  # whatever a broken file makes Orbax raise
        raise Damaged(f"it cannot be read ({_short(error)})") from error
    tree: Tree = found[STATE]
    return tree


def _metadata(run: files.PathLike, step: int) -> dict[str, Any]:
    """Shapes and types of a step's arrays."""
    options = _reading()
    try:
        with _manager(run, options) as manager:
            found = manager.item_metadata(step)[STATE]
        return dict(found.tree)
    except Exception as error:
        raise Damaged(f"its metadata cannot be read ({_short(error)})") from error


def _check_shapes(found: Tree, like: Tree, where: Path) -> None:
    """Refuse arrays of another shape; Orbax would pad or cut them without an error."""

    def listed(tree: Tree) -> dict[str, Any]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {"/".join(str(k.key) for k in path): leaf for path, leaf in leaves}

    ours, theirs = listed(like), listed(found)
    offences = [
        f"{name}: wanted {ours[name].shape if name in ours else 'nothing'}, "
        f"got {tuple(theirs[name].shape) if name in theirs else 'nothing'}"
        for name in sorted(ours.keys() | theirs.keys())
        if name not in ours
        or name not in theirs
        or tuple(ours[name].shape) != tuple(theirs[name].shape)
    ]
    refuse_all(f"the checkpoint {where} does not fit this run", offences)


def _short(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
