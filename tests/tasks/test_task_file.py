"""User tasks: good lines become pairs, and each bad line has its error."""

import json
from pathlib import Path

import pytest

from sparsetx.system.errors import Refusal
from sparsetx.tasks.task import SPLITS
from sparsetx.tasks.task_file import SHARES, file_pairs


def line(word: str, **changes: object) -> str:
    fields = {
        "prompt_a": f'print("{word} x',
        "answer_a": '")\n',
        "prompt_b": f"print('{word} x",
        "answer_b": "')\n",
    }
    return json.dumps(fields | changes)


def write(folder: Path, *lines: str) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


WORDS = [f"{first}{second}" for first in "abcdefg" for second in "hijklmn"]


def test_lines_become_pairs_and_pools_share_none(tmp_path: Path, tokenizer) -> None:
    path = write(tmp_path, *map(line, WORDS))
    pools = {split: file_pairs(path, tokenizer, split) for split in SPLITS}
    texts = [text for pairs in pools.values() for text in pairs.texts]
    assert sorted(texts) == sorted(f"print({q}{w} x" for w in WORDS for q in "\"'")
    assert len(pools["train"]) > len(pools["test"]) > 0
    pairs = file_pairs(path, tokenizer)
    assert pairs.split == "test"
    assert pairs.task == "mine"
    assert (pairs.answers_B2[0::2] == pairs.answers_B2[1::2, ::-1]).all()
    assert tokenizer.decode([int(pairs.answers_B2[0, 0])]) == '")\n'
    assert not pairs.distractor_P.any()
    draft = pairs.drafts[0]
    assert draft.a.prompt[draft.a.where] == '"'
    assert draft.b.prompt[draft.b.where] == "'"


def test_adding_lines_moves_no_pair_to_another_pool(tmp_path: Path, tokenizer) -> None:
    few = set(file_pairs(write(tmp_path, *map(line, WORDS[:30])), tokenizer).texts)
    more = set(file_pairs(write(tmp_path, *map(line, WORDS)), tokenizer).texts)
    assert few < more


def test_shares_are_twelve_three_and_five_of_twenty() -> None:
    assert [SHARES.count(split) for split in SPLITS] == [12, 3, 5]


BAD = [
    ("{", "not JSON"),
    ("[1]", "wanted an object with prompt_a, answer_a, prompt_b, answer_b, got list"),
    ('{"prompt_a": "x", "note": 1}', "lacks 'answer_a', 'prompt_b', 'answer_b'"),
    (line("ab", note=1), "does not know 'note'"),
    (line("ab", answer_a=""), "wanted text that is not empty in answer_a"),
    (line("ab", prompt_b=3), "wanted text that is not empty in prompt_b"),
    (line("ab", prompt_b='print("ab x'), "both prompts are the same"),
    (line("ab", answer_b="') + zqx"), 'the answer "\') + zqx" is not a single token'),
    (line("ab", answer_b='")\n'), "both answers are the token"),
]


@pytest.mark.parametrize(("bad", "message"), BAD)
def test_each_offence_is_named_with_its_line(
    tmp_path: Path, tokenizer, bad: str, message: str
) -> None:
    path = write(tmp_path, line("good"), "", bad)
    with pytest.raises(Refusal) as refusal:
        file_pairs(path, tokenizer)
    assert f"line 3: {message}" in str(refusal.value)
    assert "line 1:" not in str(refusal.value)


def test_all_offences_are_named_at_once(tmp_path: Path, tokenizer) -> None:
    path = write(tmp_path, *(bad for bad, _ in BAD), BAD[2][0], line("q"), line("q"))
    with pytest.raises(Refusal) as refusal:
        file_pairs(path, tokenizer)
    said = str(refusal.value).splitlines()
    assert said[0] == f"the task file {path} cannot be used:"
    assert len(said) == 1 + len(BAD) + 2
    assert said[-1] == f"  - line {len(BAD) + 3}: the same as line {len(BAD) + 2}"


def test_missing_files_and_empty_pools_are_refused(tmp_path: Path, tokenizer) -> None:
    with pytest.raises(Refusal, match=r"wanted a task file at .*none\.jsonl"):
        file_pairs(tmp_path / "none.jsonl", tokenizer)
    with pytest.raises(
        Refusal, match=r"wanted pairs of pool test .* none of its 0 lines"
    ):
        file_pairs(write(tmp_path, ""), tokenizer)
    with pytest.raises(Refusal, match=r"wanted a pool .* got 'all'"):
        file_pairs(write(tmp_path, line("ab")), tokenizer, "all")
    with pytest.raises(Refusal, match="exceed the context of 3 tokens"):
        file_pairs(write(tmp_path, line("ab")), tokenizer, context=3)
