"""Files, on a local disk: the only room that opens one for writing.

A file appears whole or not at all: it is written under a temporary name beside its
final one, flushed to the disk, and renamed.
"""

import contextlib
import functools
import json
import os
import secrets
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from sparsetx import signals
from sparsetx.errors import Refusal

PathLike = str | os.PathLike[str]


@contextlib.contextmanager
def writer(path: PathLike) -> Iterator[IO[bytes]]:
    """A binary file that takes its name only when the block ends without an error."""
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.{os.getpid()}-{secrets.token_hex(4)}")
    remove = functools.partial(temporary.unlink, missing_ok=True)
    try:
        with signals.last_words(remove), open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with signals.finishing():
            os.replace(temporary, final)
    finally:
        remove()
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


def check_writable(folder: PathLike) -> None:
    """Refuse a folder that nothing can be written to, before hours of work."""
    probe = Path(folder) / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        make_folder(folder)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise Refusal(f"{folder} cannot be written to: {error.strerror}") from error


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


def write_arrays(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz file, the same bytes for the same arrays."""
    with writer(path) as file:
        named: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
        np.savez_compressed(file, **named)


def read_arrays(path: PathLike, what: str, most: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that may hold `most` bytes; never code."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most:
            raise Refusal(
                f"wanted {what} at {path}: it holds {size:,} bytes of arrays, where at "
                f"most {most:,} belong"
            )
        with np.load(path, allow_pickle=False) as found:
            return {name: np.asarray(found[name]) for name in found.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, Refusal):
            raise
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Refusal(f"wanted {what} at {path}: {reason}") from error
    except (zlib.error, RuntimeError) as error:  # also what it cannot unpack
        raise Refusal(f"wanted {what} at {path}: {error}") from error
