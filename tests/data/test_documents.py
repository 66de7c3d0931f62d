"""Sources of documents: read in order, split by hash, all errors at once."""

import gzip
import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparsetx.data import documents as docs
from sparsetx.data.grammar.document import document
from sparsetx.system.errors import Refusal


def test_tinypython_starts_anywhere() -> None:
    made = list(itertools.islice(docs.tinypython(seed=2, start=5), 3))
    assert [one.text for one in made] == [document(2, index) for index in (5, 6, 7)]
    assert made[0].source == "2/5"


def test_the_standard_library_is_read_in_order() -> None:
    found = list(itertools.islice(docs.stdlib(), 60))
    assert all(one.source.endswith(".py") for one in found)
    assert [one.source for one in found] == sorted(one.source for one in found)
    assert not any("site-packages" in one.source for one in found)


def test_packages_are_an_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library, packages = tmp_path / "lib", tmp_path / "lib" / "site-packages"
    packages.mkdir(parents=True)
    (library / "ours.py").write_text("x = 1\n")
    (library / "odd.py").write_bytes(b"\xff\xfe")
    (packages / "theirs.py").write_text("y = 1\n")
    paths = {"stdlib": str(library), "purelib": str(packages), "platlib": str(packages)}
    monkeypatch.setattr(docs.sysconfig, "get_paths", lambda: paths)
    assert [one.source for one in docs.stdlib()] == ["ours.py"]
    assert [one.source for one in docs.stdlib(True)] == ["ours.py", "theirs.py"]


@given(st.lists(st.text(max_size=3)))
def test_duplicates_and_empty_ones_are_dropped(texts: list[str]) -> None:
    found = [one.text for _, one in docs.distinct(docs.Document(t, "") for t in texts)]
    assert found == list(dict.fromkeys(text for text in texts if text.strip()))


def test_the_split_is_the_documents_own() -> None:
    splits = [docs.split_of(docs.digest(str(n))) for n in range(20_000)]
    share = splits.count(docs.VALIDATION) / len(splits)
    assert abs(share - docs.VALIDATION_SHARE) < 0.005
    assert splits[7] == docs.split_of(docs.digest("7"))


def test_files_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    (tmp_path / "b.txt").write_text("héllo\n", encoding="utf-8")
    lines = [json.dumps({"text": "one", "n": 1}), "", json.dumps({"text": "two"})]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    with gzip.open(tmp_path / "d.jsonl.gz", "wt") as file:
        file.write(json.dumps({"text": "packed"}) + "\n")
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    (inside / "e.py").write_text("y = 2\n")
    paths = docs.matching([f"{tmp_path}/*", f"{tmp_path}/**/*.py"])
    found = list(docs.files(paths))
    assert [one.text for one in found] == [
        "x = 1\n", "héllo\n", "one", "two", "packed", "y = 2\n",
    ]  # fmt: skip
    assert found[3].source == f"{tmp_path}/c.jsonl:3"


def test_another_field_may_hold_the_text(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"code": "x = 1"}\n')
    paths = [tmp_path / "a.jsonl"]
    assert [one.text for one in docs.files(paths, "code")] == ["x = 1"]
    with pytest.raises(Refusal, match=r"a.jsonl, line 1: no text in a field 'text'"):
        list(docs.files(paths))


def test_all_offences_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": 3}\nnope\n[]\n{"text": "\\ud800"}\n')
    (tmp_path / "b.txt").write_bytes(b"caf\xe9")
    (tmp_path / "c.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "d.txt").write_text("fine")
    with pytest.raises(Refusal) as refused:
        list(docs.files(sorted(tmp_path.iterdir())))
    told = str(refused.value)
    for offence in (
        "a.jsonl, line 1: no text in a field 'text'",
        "a.jsonl, line 2: not JSON",
        "a.jsonl, line 3: no text",
        "a.jsonl, line 4: half a surrogate pair",
        "b.txt: not UTF-8 text (at byte 3)",
        "c.jsonl.gz: BadGzipFile",
    ):
        assert offence in told
    assert "d.txt" not in told


def test_offences_beyond_twenty_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("nope\n" * 25)
    with pytest.raises(Refusal, match="and 5 more"):
        list(docs.files([tmp_path / "a.jsonl"]))


def test_globs_that_match_nothing_readable_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("")
    with pytest.raises(Refusal) as refused:
        docs.matching([f"{tmp_path}/*", f"{tmp_path}/*.py"])
    assert "a.png: wanted one of .py, .txt, .jsonl, .jsonl.gz" in str(refused.value)
    assert "*.py: no file matches" in str(refused.value)
    with pytest.raises(Refusal, match="give --files GLOB"):
        docs.matching([])
