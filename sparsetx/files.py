"""Files, on a local disk: the only room that opens one for writing.

A file appears whole or not at all: it is written under a temporary name beside its
final one, flushed to the disk, and renamed.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from sparsetx.errors import Refusal

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def writer(path: PathLike) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when the block ends without an error."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(final.parent)


def _sync_directory(path: Path) -> None:
    """Make a rename survive a power cut; some file systems cannot, and say so."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: PathLike, data: bytes) -> None:
    with writer(path) as file:
        file.write(data)


def write_text(path: PathLike, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: PathLike, value: Any) -> None:
    """Indented, keys in the order given, newline at the end: made to be read."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def make_folder(path: PathLike) -> None:
    Path(path).mkdir(parents=True, exist_ok=True)


def move_away(path: PathLike, folder: PathLike) -> Path:
    """Move something into a folder, under a name that is free there."""
    make_folder(folder)
    name = Path(path).name
    number = sum(1 for _ in Path(folder).glob(f"{name}-*"))
    place = Path(folder) / f"{name}-{number}"
    os.rename(path, place)
    return place


def create(path: PathLike, text: str) -> bool:
    """Write a file that must not exist yet; False if it does. Of several, one wins."""
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def append_line(path: PathLike, line: str) -> None:
    """Add a line to a log. A kill may tear the last one: readers drop such a line."""
    with open(path, "ab") as file:
        file.write(line.encode() + b"\n")


def read_lines(path: PathLike) -> list[str]:
    """The whole lines of a log; none if there is no log yet."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines()


def read_text(path: PathLike, what: str) -> str:
    """The text of a file that the user named; `what` says what was wanted there."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Refusal(f"wanted {what} at {path}: {reason}") from error


def read_json(path: PathLike, what: str) -> Any:
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"wanted {what} at {path}: it is not JSON ({error})") from error
