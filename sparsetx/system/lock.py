"""One writer per run: two would corrupt each other's checkpoints and metrics.

The lock is a file that says who holds it, and is written anew every so often while the
holder lives. A holder that died on this machine is replaced at once. One on another
machine cannot be asked: its lock is watched, and taken over when it has not changed for
a while. No clock is trusted but the watcher's own, and only for how long it waited.
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
BEAT = 15.0  # seconds between two signs of life
LEASE = 60.0  # seconds without one after which a holder elsewhere counts as dead


@contextlib.contextmanager
def held(folder: files.PathLike, patient: bool = True) -> Iterator[None]:
    """Hold the lock of a run's folder while the block runs. Where a holder on another
    machine may be dead, a patient caller waits to see."""
    path = files.place(folder) / LOCK
    files.make_folder(folder)
    own = _Holder(path)
    while not files.create(path, own.text()):
        _take_away(path, patient)
    try:
        with signals.last_words(own.give_back), own.beating():
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
                f"sparsetx: {self.path} is no longer ours: this process stood still so "
                "long that another took over, or someone removed the file. It ends, "
                "lest two write to one run",
            )


def _take_away(path: Path, patient: bool) -> None:
    """Remove the lock of a dead holder; refuse to go on where one is alive."""
    found = _read(path)
    if found is None:
        return
    holder, mark = found
    here = holder.get("host") == socket.gethostname()
    pid = holder.get("pid")
    if not holder:
        dead = True  # torn by a power cut: nobody writes such a file on purpose
    elif here:
        dead = isinstance(pid, int) and _began(pid) != holder.get("began")
    else:
        dead = patient and not _changes(path, mark)
    if not dead:
        raise Refusal(
            f"wanted to write to {path.parent}, but process {pid} on "
            f"{holder.get('host')} does ({path}). Wait for it, or stop it"
        )
    files.remove_if(path, mark)


def _changes(path: Path, mark: str) -> bool:
    """Whether the holder gives a sign of life, or the lock back."""
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
    """Who holds it ({} if that cannot be read), and the mark of the file."""
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
    """When a process began, since pids are used again; None if it is gone."""
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
