"""Pairs: padding, signs, and the token boundaries at which a prompt may end."""

import numpy as np
import pytest

from sparsetx.system.errors import Refusal
from sparsetx.tasks.pairs import Sieve, Unfit, encode, pack, pool_name
from sparsetx.tasks.template import Draft, Side

WORDS = ("<eot>", "x", " =", " [", " [[", "1", "]", "]]", "]\n", "\n", ")")


class Toy:
    """Longest match first, left to right: small enough to predict by hand."""

    eot = 0

    def encode(self, text: str) -> list[int]:
        ids = []
        while text:
            best = max((w for w in WORDS if text.startswith(w)), key=len)
            ids.append(WORDS.index(best))
            text = text[len(best) :]
        return ids


def draft(a: str, answer_a: str, b: str, answer_b: str, rest: str = "") -> Draft:
    return Draft(Side(a, answer_a, rest, 3), Side(b, answer_b, rest, 3), 1, True)


GOOD = draft("x = [1", "]\n", "x = [[1", "]]")
LONGER = draft("xx = [1", "]\n", "xx = [[1", "]]")


def test_pairs_are_packed_side_by_side() -> None:
    rows = [encode(Toy(), GOOD), encode(Toy(), LONGER)]
    pairs = pack("toy", "val", rows, eot=0)
    assert pairs.tokens_BL.tolist() == [
        [0, 1, 2, 3, 5, 0],
        [0, 1, 2, 4, 5, 0],
        [0, 1, 1, 2, 3, 5],
        [0, 1, 1, 2, 4, 5],
    ]
    assert pairs.position_B.tolist() == [4, 4, 5, 5]
    assert pairs.answers_B2.tolist() == [[8, 7], [7, 8]] * 2
    assert pairs.sign_B.tolist() == [1, 1, 1, 1]
    assert pairs.distractor_P.tolist() == [True, True]
    assert pairs.template_P.tolist() == [1, 1]
    assert pairs.texts[1] == "x = [[1"
    assert len(pairs) == 2


def test_a_one_token_contrast_has_one_candidate_and_two_signs() -> None:
    single = draft("x = [1", "", "x = [[1", "]]")
    pairs = pack("toy", "val", [encode(Toy(), single, one_token=True)], 0, True)
    assert pairs.answers_B2.tolist() == [[7, 7], [7, 7]]
    assert pairs.sign_B.tolist() == [-1, 1]


def test_the_documented_loss_reads_a_one_token_contrast() -> None:
    log_p = np.log([0.9, 0.2])
    sign = np.array([1, -1])
    loss = -np.where(sign > 0, log_p, np.log1p(-np.exp(log_p)))
    np.testing.assert_allclose(loss, [-np.log(0.9), -np.log(0.8)])


@pytest.mark.parametrize(
    ("bad", "options", "reason"),
    [
        (draft("x", "1]", "x", "]"), {}, "the answer '1]' is not a single token"),
        (draft("x", "]", "x", "]]", rest="\n"), {}, "boundary before ']' is not a"),
        (draft("x", "]", "1", "]", rest=")"), {}, r"both answers are the token '\]'"),
        (draft("x", "1", "xx", "]"), {"aligned": True}, "differ in length"),
        (GOOD, {"context": 4}, "exceed the context of 4 tokens"),
    ],
)
def test_what_cannot_be_said_is_told(bad: Draft, options: dict, reason: str) -> None:
    with pytest.raises(Unfit, match=reason):
        encode(Toy(), bad, **options)


def test_a_prompt_may_fill_the_context_but_for_nothing() -> None:
    assert encode(Toy(), GOOD, context=5).a == [1, 2, 3, 5]


def test_the_sieve_lets_a_pair_through_once_and_says_what_it_kept_out() -> None:
    sieve = Sieve(Toy(), 5, aligned=True, one=False)
    kept = [row for d in (GOOD, GOOD, LONGER) for row in sieve(d)]
    assert len(kept) == 1
    said = str(sieve.refuse("toy", "val", 9))
    assert said.startswith("wanted 9 distinct pairs of toy, pool val, and found 1 ")
    assert "1 x drawn before" in said
    assert "1 x the prompts exceed the context of 5 tokens" in said


def test_pools_by_name() -> None:
    assert [pool_name(s, "t") for s in ("train", "val", "test", "heldout")] == [
        "train",
        "val",
        "test",
        "test",
    ]
    with pytest.raises(Refusal, match="of t, got 'dev'"):
        pool_name("dev", "t")
