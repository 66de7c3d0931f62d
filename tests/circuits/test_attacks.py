"""The script that tries prompts which ought to fool an algorithm."""

import importlib.util
import sys
from types import ModuleType

import pytest

from tests.house import ROOT

RUN = ROOT / "experiments/pretrained/tinypython"


@pytest.fixture(scope="module")
def attacks() -> ModuleType:
    path = ROOT / "experiments/results/attacks.py"
    spec = importlib.util.spec_from_file_location("attacks", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_lines_come_before_the_last_and_lists_go_on(attacks: ModuleType) -> None:
    assert attacks.line("# [")("a = 1\n  b = [2") == "a = 1\n  # [\n  b = [2"
    assert attacks.line("# [")("b = [2") == "# [\nb = [2"
    assert attacks.more_items(2)("b = [2") == "b = [2, 10, 17"


@pytest.mark.slow
def test_a_table_of_the_same_prompts_before_and_after(
    attacks: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(attacks, "PAIRS", 16)
    words = ["attacks.py", str(RUN), "--tasks", "single_double_quote"]
    monkeypatch.setattr(sys, "argv", words)
    assert attacks.main() == 0
    head, _, *lines = capsys.readouterr().out.strip().splitlines()
    assert head == "| single_double_quote | prompts | whole model | plain | honest |"
    assert len(lines) == 1 + len(attacks.ATTACKS["single_double_quote"])
    assert "| as they are | 32 |" in lines[0]
    assert lines[0].count("(+0.0)") == 3
    for line in lines:
        parts = [float(cell.split()[0]) for cell in line.split("|")[3:6]]
        assert all(0 <= part <= 100 for part in parts)


def test_what_is_no_run_is_refused(
    attacks: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["attacks.py", "nowhere"])
    assert attacks.main() == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_task_without_attacks_is_refused(
    attacks: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["attacks.py", str(RUN), "--tasks", "quotes"])
    with pytest.raises(SystemExit) as raised:
        attacks.main()
    assert raised.value.code == 2
    assert "no attacks on quotes: there are some on" in capsys.readouterr().err
