"""The ladder: under which ablations a circuit holds, and how it is said."""

import dataclasses

from sparsetx.circuits.facts import Facts, Losses, Search, ladder, ladder_line

MEASURED = Losses(
    mean=0.1, frozen=0.15, stochastic=0.12, together=0.2, apart=0.47, epsilon=0.39
)


def test_each_ablation_has_its_own_verdict() -> None:
    facts = Facts(test=MEASURED, search=Search(target=0.15))
    assert [rung.holds for rung in ladder(facts)] == [True, True, True, False, None]
    assert ladder_line(facts) == (
        "mean ✓ · norms ✓ · mixtures ✓ · other prompts ✗ 0.47 · worst case ε 0.39"
    )


def test_what_was_not_measured_is_no_verdict() -> None:
    old = dataclasses.replace(
        MEASURED, together=None, apart=None, epsilon=None, mean=0.3
    )
    facts = Facts(test=old, search=Search(target=0.15))
    assert ladder_line(facts) == (
        "mean ✗ 0.30 · norms ✓ · mixtures ✓ · other prompts ? · worst case ?"
    )


def test_the_kind_is_that_of_the_hardest_ablation() -> None:
    assert Search(honest=0.0).kind == "plain"
    assert Search(honest=1.0).kind == "honest"
    assert Search(honest=1.0, faithful=1.0).kind == "faithful"
