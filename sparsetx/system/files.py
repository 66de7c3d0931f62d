"""Read and write files, on a local disk or an object store; nothing else writes them.

A file appears whole or not at all. Locally it is written under a temporary name in the
same folder, flushed to the disk, and renamed; an object store guarantees it by itself.
"""

import contextlib
import functools
import io
import json
import os
import secrets
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from sparsetx.system import bucket, signals
from sparsetx.system.errors import Refusal

PathLike = str | os.PathLike[str]


def is_remote(path: PathLike) -> bool:
    return "://" in os.fspath(path)


def place(path: PathLike) -> Path:
    """A path with pathlib's methods, local or gs://. (pathlib.Path would turn the two
    slashes into one.)"""
    text = os.fspath(path)
    return bucket.path(text) if is_remote(text) else Path(text)


def absolute(path: PathLike) -> Path:
    found = place(path)
    return found if is_remote(found) else found.absolute()


@contextlib.contextmanager
def writer(path: PathLike) -> Iterator[IO[bytes]]:
    """A binary file that gets its name only if the block ends without an error."""
    if is_remote(path):
        with io.BytesIO() as memory:
            yield memory
            place(path).write_bytes(memory.getvalue())
        return
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(final)
    remove = functools.partial(temporary.unlink, missing_ok=True)
    try:
        with signals.cleanup_at_end(remove), open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with signals.finishing():
            os.replace(temporary, final)
    finally:
        remove()
    _sync_directory(final.parent)


def _beside(path: Path) -> Path:
    """A hidden name in the same folder that no other process uses."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _sync_directory(path: Path) -> None:
    """Make a rename survive a power cut; file systems that cannot raise OSError."""
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
    """Indented JSON, keys in the order given, newline at the end."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def make_folder(path: PathLike) -> None:
    """Does nothing on an object store, which has no folders."""
    if not is_remote(path):
        Path(path).mkdir(parents=True, exist_ok=True)


def inside(folder: PathLike) -> list[Path]:
    """Every file below a folder, sorted."""
    if is_remote(folder):
        return sorted(bucket.inside(place(folder)))
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def check_writable(folder: PathLike) -> None:
    """Refuse a folder that cannot be written to; call it before hours of work."""
    probe = place(folder) / f".probe-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        make_folder(folder)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(f"{folder} cannot be written to: {reason}") from error


def check_room(folder: PathLike, wanted: int) -> None:
    """Refuse a folder whose disk has less than `wanted` bytes free."""
    if is_remote(folder):
        return
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise Refusal(
            f"wanted {wanted / 1e6:,.0f} MB for {folder}, its disk has "
            f"{free / 1e6:,.0f} MB: free some, or name another folder"
        )


def move_away(path: PathLike, folder: PathLike) -> Path:
    """Move a file or folder into a folder, under a name that is not used there."""
    make_folder(folder)
    source, target = place(path), place(folder)
    number = sum(1 for _ in target.glob(f"{source.name}-*"))
    found = target / f"{source.name}-{number}"
    if not is_remote(source):
        os.rename(source, found)
        return found
    for file in inside(source):  # copied before removed, so that a kill loses nothing
        (found / file.relative_to(source)).write_bytes(file.read_bytes())
    remote: Any = source
    remote.rmtree()
    return found


def create(path: PathLike, text: str) -> bool:
    """Create a file; False if it exists. If several processes try, one succeeds, and
    none sees the file before its text is in it."""
    if is_remote(path):
        return bucket.create(place(path), text.encode())
    final = Path(path)
    whole = _beside(final)
    remove = functools.partial(whole.unlink, missing_ok=True)
    try:
        with signals.cleanup_at_end(remove):
            whole.write_text(text, encoding="utf-8")
            _link(whole, final)
    except FileExistsError:
        return False
    finally:
        remove()
    return True


def _link(whole: Path, final: Path) -> None:
    """Give a written file another name: unlike a rename, refused where it is taken."""
    try:
        os.link(whole, final)
    except FileExistsError:
        if os.stat(whole).st_nlink != 2:  # NFS may ask again for what it has done
            raise
    except OSError:  # not every file system has links
        with open(final, "xb") as file:  # there a reader may see it empty for a moment
            file.write(whole.read_bytes())


def read_marked(path: PathLike) -> tuple[bytes, str] | None:
    """A file's content and a mark of this version, for `remove_if`; None if absent."""
    try:
        if is_remote(path):
            return bucket.read(place(path))
        data = Path(path).read_bytes()
        return data, data.hex()
    except FileNotFoundError:
        return None


def remove_if(path: PathLike, mark: str) -> bool:
    """Remove a file unless it has changed since `mark` was read; whether it was
    removed. If several processes try, one succeeds."""
    if is_remote(path):
        return bucket.remove_if(place(path), mark)
    if (now := read_marked(path)) is None or now[1] != mark:
        return False
    found = Path(path)
    aside = _beside(found)
    try:
        os.rename(found, aside)
    except FileNotFoundError:
        return False
    same = aside.read_bytes().hex() == mark
    if not same:
        with contextlib.suppress(FileExistsError):
            _link(aside, found)  # another process wrote it meanwhile: put it back
    aside.unlink()
    return same


def append_line(path: PathLike, line: str) -> None:
    """Add a line to a log. A kill may cut the last line short: readers drop it."""
    with open(path, "ab") as file:
        file.write(line.encode() + b"\n")


def read_lines(path: PathLike) -> list[str]:
    """The complete lines of a log; none if there is no log yet."""
    try:
        data = place(path).read_bytes()
    except FileNotFoundError:
        return []
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines()


def read_text(path: PathLike, what: str) -> str:
    """The text of a file that the user named; `what` describes it in errors."""
    try:
        return place(path).read_bytes().decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise Refusal(f"wanted {what} at {path}: {reason}") from error


def read_json(path: PathLike, what: str) -> Any:
    text = read_text(path, what)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"wanted {what} at {path}: it is not JSON ({error})") from error


def map_array(path: PathLike) -> np.ndarray:
    """The array of an .npy file: memory-mapped, or from an object store read whole."""
    if is_remote(path):
        whole = io.BytesIO(place(path).read_bytes())
        return np.asarray(np.load(whole, allow_pickle=False))
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def write_arrays(path: PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npz file, with the same bytes for the same arrays."""
    with writer(path) as file:
        named: dict[str, Any] = {name: arrays[name] for name in sorted(arrays)}
        np.savez_compressed(file, **named)


def read_arrays(path: PathLike, what: str, most: int) -> dict[str, np.ndarray]:
    """The arrays of an .npz file, of at most `most` bytes; pickles are refused."""
    try:
        data = io.BytesIO(place(path).read_bytes())
        with zipfile.ZipFile(data) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > most:
            raise Refusal(
                f"wanted {what} at {path}: it holds {size:,} bytes of arrays, and may "
                f"hold at most {most:,}"
            )
        with np.load(data, allow_pickle=False) as found:
            return {name: np.asarray(found[name]) for name in found.files}
    except Refusal:
        raise
    except (
        Exception
    ) as error:  # a broken archive makes NumPy and zipfile raise anything
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Refusal(f"wanted {what} at {path}: {reason.splitlines()[0]}") from error
