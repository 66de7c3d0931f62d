"""The rules of the house hold, and the check of them can fail."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from sparsetx import nodes, parameters
from tests import house


def test_imports_only_from_above() -> None:
    assert house.broken_imports() == []


def test_an_import_from_below_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def late():\n    from sparsetx import model\n"
    wrong = house.Source(house.PACKAGE / "topk.py", text, ast.parse(text))
    right = house.Source(house.PACKAGE / "model.py", "", ast.parse(""))
    monkeypatch.setattr(house, "sources", lambda: [wrong, right])
    found = house.broken_imports()
    assert found == ["sparsetx.topk imports sparsetx.model, which is not above it"]


@pytest.mark.parametrize("source", house.sources(), ids=lambda s: s.module)
def test_files_and_functions_are_short(source: house.Source) -> None:
    assert source.lines <= house.LONGEST_FILE
    long = [f for f in house.functions(source) if f[0] > house.LONGEST_FUNCTION]
    assert long == []


@pytest.mark.parametrize("source", house.sources(), ids=lambda s: s.module)
def test_every_file_says_what_it_is_for(source: house.Source) -> None:
    if source.lines > 1:
        assert ast.get_docstring(source.tree)


def test_only_the_command_line_prints() -> None:
    for source in house.sources():
        printed = [line for line, _, name in house.calls(source) if name == "print"]
        assert house.room(source.module) == "cli" or printed == [], source.module


def test_only_files_opens_files_for_writing() -> None:
    """Arrays and torch states go to a handle that files.writer gave."""
    writing = re.compile(
        r"write_text|write_bytes|savetxt|mkdir|makedirs|rename|replace"
    )
    for source in house.sources():
        if house.room(source.module) == "files":
            continue
        for line, owner, name in house.calls(source):
            where = f"{source.module}, line {line}: {owner}.{name}()"
            if owner in ("os", "shutil", "?", "path", "Path"):
                ours = name == "replace" and owner == "?"  # of a string
                assert ours or not writing.fullmatch(name), where
        opened = [n for n in ast.walk(source.tree) if isinstance(n, ast.Call)]
        assert not any(house.opens_for_writing(call) for call in opened), source.module


def test_only_the_vocabulary_spells_the_names_of_sites() -> None:
    """Names of one letter are too short to look for; the rest are not."""
    names = {s for s in (*nodes.BLOCK_SITES, *nodes.END_SITES) if len(s) > 5}
    names |= {parameters.POSITIONS, parameters.UNEMBED, parameters.MLP_POSITION_NORM}
    # The released format has names of its own, some of them alike.
    spelled = ("nodes", "parameters", "openai_config", "openai_format")
    for source in house.sources():
        if house.room(source.module) in (*spelled, "cli", "data", "tasks"):
            continue
        found = {
            node.value
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not found & names, source.module


def test_tests_weigh_enough() -> None:
    assert house.test_ratio() >= house.LEAST_TEST_RATIO


def test_report_names_every_file() -> None:
    text = house.report()
    assert all(source.module in text for source in house.sources())


def test_nothing_unfinished_is_left() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b")
    folders = [house.PACKAGE, house.ROOT / "experiments", house.ROOT / "tpu"]
    for path in itertools.chain(*(Path(f).rglob("*.*") for f in folders)):
        if path.suffix in (".py", ".sh", ".js"):
            assert not words.search(path.read_text()), path
