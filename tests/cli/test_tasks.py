"""`sparsetx tasks`: the table, pairs with the deciding place marked, the check."""

import json
from pathlib import Path

import pytest

from sparsetx.cli.main import main
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.tasks.table import TASKS
from tests.tasks.conftest import trained


@pytest.fixture
def saved(tmp_path: Path) -> str:
    path = tmp_path / "tokenizer.json"
    trained().save(path)
    return str(path)


def test_help_names_every_option_with_its_default(capsys) -> None:
    with pytest.raises(SystemExit) as end:
        main(["tasks", "--help"])
    assert end.value.code == 0
    said = capsys.readouterr().out
    assert "pairs to print (default: 3)" in said
    assert "in tokens (default: 256)" in said


def test_without_a_name_all_are_listed(capsys) -> None:
    assert main(["tasks"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in TASKS)
    assert "20 tasks. Templates per pool (train/val/test): 5/2/3" in said


def test_a_name_shows_pairs_and_marks_what_decides(capsys) -> None:
    assert main(["tasks", "single_double_quote", "--show", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "Close a string with the kind of quote that opened it."
    assert lines[2].startswith("excludes any quote seen")
    assert "pair 0, with a distractor, template 0" in lines
    assert "pair 1, plain, template 0" in lines
    marks = [i for i, line in enumerate(lines) if line.endswith("^")]
    assert len(marks) == 4
    for i, quote in zip(marks, "\"'\"'", strict=True):
        assert lines[i - 1][len(lines[i]) - 1] == quote


def test_with_a_tokenizer_the_answers_are_tokens(capsys, saved: str) -> None:
    assert main(["tasks", "else_elif", "--show", "1", "--tokenizer", saved]) == 0
    said = capsys.readouterr().out
    assert "A -> anything but the other's" in said
    assert said.count(" tokens, answer ") == 2


def test_the_check_is_one_line_per_task(capsys, saved: str) -> None:
    assert main(["tasks", "else_elif", "--check", "--tokenizer", saved]) == 0
    *_, head, line = capsys.readouterr().out.splitlines()
    assert head.split()[-4:] == ["ends", "bag", "bag,", "hard"]
    name, a, b, pools, _, bigram, *_ = line.split()
    assert (name, pools) == ("else_elif", "2000/500/500")
    assert min(float(a), float(b)) >= 5
    assert bigram == "1.000"  # it decides this one by nature


def test_the_check_lists_every_task_that_a_tokenizer_cannot_say(
    capsys, tmp_path: Path
) -> None:
    letters = Tokenizer.train(["".join(map(chr, range(300, 900))) * 3], 512)
    letters.save(tmp_path / "letters.json")
    path = str(tmp_path / "letters.json")
    assert main(["tasks", "set_or_string", "--check", "--tokenizer", path]) == 2
    said = capsys.readouterr().err
    assert "this tokenizer cannot express every task:" in said
    assert (
        "- wanted 2000 distinct pairs of set_or_string, pool train, and found" in said
    )
    assert "the answer ' +=' is not a single token" in said


def test_your_own_pairs_are_shown(capsys, tmp_path: Path, saved: str) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [
        {
            "prompt_a": f"{letter} = [1",
            "answer_a": "]\n",
            "prompt_b": f"{letter} = [[1",
            "answer_b": "]]\n",
        }
        for letter in "abcdefghijklmn"
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    asked = ["tasks", "--task-file", str(path), "--tokenizer", saved, "--show", "1"]
    assert main(asked) == 0
    said = capsys.readouterr().out
    assert said.startswith("mine: ")
    assert "pair 0, plain, template 0" in said
    path.write_text("{}")
    assert main(asked) == 2
    assert "line 1: lacks 'prompt_a'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["bracket_count"], "did you mean bracket_counting"),
        (["var_if", "--show", "0"], "wanted --show of at least 1 pair, got 0"),
        (["--check"], "--check needs --tokenizer FILE"),
        (["--task-file", "x.jsonl"], "--task-file needs --tokenizer FILE"),
        (["var_if", "--tokenizer", "/none.json"], "wanted a tokenizer at /none.json"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message(
    capsys, asked: list[str], message: str
) -> None:
    assert main(["tasks", *asked]) == 2
    assert message in capsys.readouterr().err
