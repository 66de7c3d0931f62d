"""The rules for the code's layout hold, and their checks find violations."""

import ast
import itertools
import re
from pathlib import Path

import pytest

from sparsetx import nodes
from sparsetx.model import parameters
from tests import house


def test_rooms_import_only_what_is_allowed() -> None:
    assert house.broken_law() == []
    assert house.broken_imports() == []


def test_a_forbidden_import_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "def late():\n    from sparsetx import model\n"
    wrong = house.Source(house.PACKAGE / "topk.py", text, ast.parse(text))
    right = house.Source(house.PACKAGE / "model" / "__init__.py", "", ast.parse(""))
    astray = house.Source(house.PACKAGE / "utils.py", "", ast.parse(""))
    monkeypatch.setattr(house, "sources", lambda: [wrong, right, astray])
    found = house.broken_imports()
    assert len(found) == 2
    assert "sparsetx.topk imports sparsetx.model, which is not allowed" in found[0]
    assert "topk may import system" in found[0]
    assert found[1].startswith("sparsetx.utils is in no room")


def test_a_rule_in_the_wrong_order_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(house.LAW, "model", "training")
    assert house.broken_law() == [
        "model may not be allowed training: LAW must list training before it"
    ]


def test_circuits_and_training_do_not_import_each_other() -> None:
    """Training code uses no masks, and circuits need no training code."""
    for here in house.LAW:
        if here.startswith("circuits"):
            assert "training" not in house.allowed(here)
    assert not any(r.startswith("circuits") for r in house.allowed("training"))
    assert not any(r.startswith("circuits") for r in house.allowed("model"))


def test_no_folder_is_crowded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert house.crowded() == []
    for number in range(house.MOST_AT_TOP + 1):
        (tmp_path / f"{number}.py").touch()
    monkeypatch.setattr(house, "PACKAGE", tmp_path)
    assert house.crowded()[0].startswith(".: 21 entries")


@pytest.mark.parametrize("source", house.sources(), ids=lambda s: s.module)
def test_files_and_functions_are_short(source: house.Source) -> None:
    assert source.lines <= house.LONGEST_FILE
    long = [f for f in house.functions(source) if f[0] > house.LONGEST_FUNCTION]
    assert long == []


@pytest.mark.parametrize("source", house.sources(), ids=lambda s: s.module)
def test_every_file_has_a_docstring(source: house.Source) -> None:
    if source.lines > 1:
        assert ast.get_docstring(source.tree)


def test_only_the_command_line_prints() -> None:
    for source in house.sources():
        printed = [line for line, _, name in house.calls(source) if name == "print"]
        assert house.room(source.module) == "cli" or printed == [], source.module


def test_only_files_opens_files_for_writing() -> None:
    """Arrays and torch states are written to a handle from files.writer."""
    writing = re.compile(
        r"write_text|write_bytes|savetxt|mkdir|makedirs|rename|replace"
    )
    for source in house.sources():
        if source.module == "sparsetx.system.files":
            continue
        for line, owner, name in house.calls(source):
            where = f"{source.module}, line {line}: {owner}.{name}()"
            if owner in ("os", "shutil", "?", "path", "Path"):
                ours = name == "replace" and owner == "?"  # of a string
                assert ours or not writing.fullmatch(name), where
        opened = [n for n in ast.walk(source.tree) if isinstance(n, ast.Call)]
        assert not any(house.opens_for_writing(call) for call in opened), source.module


def test_only_nodes_and_parameters_spell_names_of_sites_and_parameters() -> None:
    """Only names of more than five letters: shorter ones occur in other strings."""
    names = {s for s in (*nodes.BLOCK_SITES, *nodes.END_SITES) if len(s) > 5}
    names |= {parameters.POSITIONS, parameters.UNEMBED, parameters.MLP_POSITION_NORM}
    # The released format has names of its own, some of them the same.
    for source in house.sources():
        if house.room(source.module) in ("openai_format", "cli", "data", "tasks"):
            continue
        if source.module in ("sparsetx.nodes", "sparsetx.model.parameters"):
            continue
        found = {
            node.value
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
        assert not found & names, source.module


def test_there_are_enough_tests() -> None:
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
