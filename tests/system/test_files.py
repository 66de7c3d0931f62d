"""Files appear whole or not at all."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sparsetx.system import errors, files
from sparsetx.system.errors import Refusal


def test_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    files.write_json(path, {"x": [1, None]})
    assert files.read_json(path, "it") == {"x": [1, None]}
    files.write_text(path, "new")
    assert files.read_text(path, "it") == "new"
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f"
    files.write_bytes(path, b"old")

    def fail_halfway() -> None:
        with files.writer(path) as file:
            file.write(b"new")
            raise RuntimeError("halfway")

    with pytest.raises(RuntimeError, match="halfway"):
        fail_halfway()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(path, float("nan"))
    assert path.read_bytes() == b"old"


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(
    tmp_path: Path,
) -> None:
    path = tmp_path / "f"
    files.write_bytes(path, b"old")
    program = (
        "import sys, time\nfrom sparsetx.system import files\n"
        "with files.writer(sys.argv[1]) as f:\n"
        "    f.write(b'new' * 1000); f.flush(); print('written', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"written\n"
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert path.read_bytes() == b"old"
    left = [p for p in tmp_path.iterdir() if p != path]
    assert all(p.name.startswith(".f.") for p in left)


def test_a_log_forgets_a_torn_last_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert files.read_lines(path) == []
    files.append_line(path, "one")
    files.append_line(path, "two")
    path.write_bytes(path.read_bytes() + b"thr")
    assert files.read_lines(path) == ["one", "two"]


def test_refusals_say_what_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"wanted a plan at .*gone: No such file"):
        files.read_text(tmp_path / "gone", "a plan")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(Refusal, match="it is not UTF-8 text"):
        files.read_text(tmp_path / "binary", "a plan")
    (tmp_path / "bad").write_text("{")
    with pytest.raises(Refusal, match="it is not JSON"):
        files.read_json(tmp_path / "bad", "a plan")
    (tmp_path / "deep").write_text("[" * 100_000)
    with pytest.raises(Refusal, match="it is not JSON"):
        files.read_json(tmp_path / "deep", "a plan")
    with pytest.raises(Refusal, match="Is a directory"):
        files.read_text(tmp_path, "a plan")


def test_refuse_all_lists_everything_or_does_nothing() -> None:
    errors.refuse_all("fine", [])
    with pytest.raises(Refusal) as refused:
        errors.refuse_all("bad", iter(["one", "two"]))
    assert str(refused.value) == "bad:\n  - one\n  - two"


def test_a_created_file_is_never_seen_without_its_text(tmp_path: Path) -> None:
    """A lock that is read empty counts as torn, and would be taken over."""
    path, seen, over = tmp_path / "lock", set(), threading.Event()

    def read() -> None:
        while not over.is_set():
            if found := files.read_marked(path):
                seen.add(found[0])

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(2000):
        assert files.create(path, "whole")
        assert not files.create(path, "late")
        path.unlink()
    over.set()
    reader.join()
    assert seen == {b"whole"}
    assert list(tmp_path.iterdir()) == []


def test_where_there_are_no_links_one_still_succeeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no links here")

    monkeypatch.setattr(os, "link", refused)
    assert files.create(tmp_path / "lock", "first")
    assert not files.create(tmp_path / "lock", "second")
    assert (tmp_path / "lock").read_text() == "first"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_changed_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("dead")
    assert (found := files.read_marked(path)) is not None
    path.write_text("alive")
    assert not files.remove_if(path, found[1])
    assert path.read_text() == "alive"
    assert list(tmp_path.iterdir()) == [path]
