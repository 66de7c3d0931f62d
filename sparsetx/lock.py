"""One writer per run: two would corrupt each other's checkpoints and metrics.

The lock is a file that says who holds it. A holder that died on this machine is
replaced at once; one on another machine cannot be asked, so a person must decide.
"""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsetx import files, signals
from sparsetx.errors import Refusal


@contextlib.contextmanager
def held(folder: files.PathLike) -> Iterator[None]:
    """Hold the lock of a run's folder while the block runs."""
    path = Path(folder) / "lock"
    files.make_folder(folder)
    own = {"host": socket.gethostname(), "pid": os.getpid(), "began": _began()}
    if not files.create(path, json.dumps(own) + "\n"):
        _refuse_if_alive(path)
        files.write_text(path, json.dumps(own) + "\n")

    def give_back() -> None:
        if _holder(path) == own:
            path.unlink(missing_ok=True)

    try:
        with signals.last_words(give_back):
            yield
    finally:
        give_back()


def _refuse_if_alive(path: Path) -> None:
    holder = _holder(path)
    if not holder:
        return  # torn by a power cut: nobody writes such a file on purpose
    here = holder.get("host") == socket.gethostname()
    pid = holder.get("pid")
    if here and isinstance(pid, int) and _began(pid) != holder.get("began"):
        return
    what = (
        "It runs" if here else "If that machine is gone, remove the file; else it runs"
    )
    raise Refusal(
        f"wanted to write to {path.parent}, but process {pid} on {holder.get('host')} "
        f"does ({path}). {what} still: wait for it, or stop it"
    )


def _holder(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


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
