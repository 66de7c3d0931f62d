"""Lock a folder: one writer per run, since two would corrupt its checkpoints.

The lock is a file that names its holder, rewritten every 15 seconds while the holder
lives. If the holder died on this machine, the lock is taken over at once. A process on
another machine cannot be checked: its lock is taken over if it does not change for a
minute, by the clock of the process that waits.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsetx.system import files, signals
from sparsetx.system.errors import Refusal

LOCK = "lock"
BEAT = 15.0  # seconds between two rewrites of the lock (heartbeats)
WRITING = 1.0  # seconds after which a lock that cannot be read counts as torn
LEASE = 60.0  # seconds without one after which a remote holder counts as dead


class Held(Refusal):
    """The folder's lock belongs to a process that lives."""


@contextlib.contextmanager
def held(folder: files.PathLike, patient: bool = True) -> Iterator[None]:
    """Hold the lock of a run's folder while the block runs. If its holder is on another
    machine, a patient caller waits to see whether it is dead."""
    path = files.place(folder) / LOCK
    files.make_folder(folder)
    own = _Holder(path)
    while not files.create(path, own.text()):
        _take_away(path, patient)
    try:
        with signals.cleanup_at_end(own.give_back), own.beating():
            yield
    finally:
        own.give_back()


class _Holder:
    """This process, as the holder of one lock."""

    def __init__(self, path: Path):
        self.path = path
        self.facts = {"host": socket.gethostname(), "pid": os.getpid()}
        self.facts["began"] = _began() or ""
        self.beats = 0

    def text(self) -> str:
        return json.dumps(self.facts | {"beats": self.beats}) + "\n"

    def holds(self) -> bool:
        found = _read(self.path)
        return found is not None and _who(found[0]) == self.facts

    def give_back(self) -> None:
        if self.holds():
            self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def beating(self) -> Iterator[None]:
        done = threading.Event()
        thread = threading.Thread(target=self._beat, args=(done,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _beat(self, done: threading.Event) -> None:
        while not done.wait(BEAT):
            try:
                if not self.holds():
                    break
                self.beats += 1
                files.write_text(self.path, self.text())
            except OSError:
                continue  # a store that is away for a moment
        if not done.is_set():
            signals.end(
                1,
                f"sparsetx: {self.path} is no longer ours: this process was suspended "
                "so long that another took the lock over, or someone removed the file. "
                "It ends, so that no two processes write to one run",
            )


def _take_away(path: Path, patient: bool) -> None:
    """Remove the lock of a dead holder; refuse to go on where one is alive."""
    found = _read(path)
    if found is None:
        return
    holder, mark = found
    here = holder.get("host") == socket.gethostname()
    pid = holder.get("pid")
    if not holder:  # cut short by a power failure; or it is being written
        time.sleep(WRITING)
        dead = True  # below it is only removed if it is still the same
    elif here:
        dead = isinstance(pid, int) and _began(pid) != holder.get("began")
    else:
        dead = patient and not _changes(path, mark)
    if not dead:
        raise Held(
            f"wanted to write to {path.parent}, but process {pid} on "
            f"{holder.get('host')} does ({path}). Wait for it, or stop it"
        )
    files.remove_if(path, mark)


def _changes(path: Path, mark: str) -> bool:
    """Whether the holder rewrites the lock within a lease; False if it is released."""
    until = time.monotonic() + LEASE
    while time.monotonic() < until:
        time.sleep(min(1.0, LEASE / 10))
        found = _read(path)
        if found is None:
            return False
        if found[1] != mark:
            return True
    return False


def _read(path: Path) -> tuple[dict[str, Any], str] | None:
    """Who holds the lock ({} if unreadable), and the mark of the file."""
    found = files.read_marked(path)
    if found is None:
        return None
    data, mark = found
    try:
        holder = json.loads(data)
    except ValueError:
        holder = {}
    return (holder if isinstance(holder, dict) else {}), mark


def _who(holder: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in holder.items() if key != "beats"}


def _began(pid: int | None = None) -> str | None:
    """When a process started, since pids are reused; None if it is gone."""
    try:
        text = Path(f"/proc/{pid or os.getpid()}/stat").read_text()
        state, *rest = text.rpartition(")")[2].split()
        return None if state == "Z" else rest[18]
    except (OSError, IndexError):
        return None if pid and not _exists(pid) else ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
