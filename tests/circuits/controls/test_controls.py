"""The known circuit passes every control; broken and wrong ones do not."""

import functools

import jax
import numpy as np
import pytest

from sparsetx.circuits.controls import (
    battery,
    evidence,
    role_agreement,
    thresholds,
)
from sparsetx.circuits.controls.battery import Asked
from sparsetx.circuits.controls.entry import Entry, from_json, to_json
from sparsetx.circuits.controls.necessity import others_like, parts_of
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.adversary import crossing
from sparsetx.circuits.search.judge import Judge
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress
from tests.circuits import compiled, trials

pytestmark = pytest.mark.slow

# The controls that at least must fail for each, and why.
BY = {
    "norm crutch": {
        thresholds.FROZEN_NORMS,  # these are not the norms it needs
        thresholds.STOCHASTIC,
        thresholds.ABLATION_KINDS,  # the noise that changes norms is present
        thresholds.INTERCHANGE,  # its answer is small beside the whole model's noise
    },
    "cancelling pair": {
        thresholds.STOCHASTIC,
        thresholds.ABLATION_KINDS,  # resampled apart, the two no longer cancel
        thresholds.RELAXATION,  # one is restored without the other
        thresholds.CURVE,
    },
    "sink crutch": {
        thresholds.ABLATION_KINDS,  # its values are those of other prompts, or zero
        thresholds.INTERCHANGE,  # the whole model attends to either quote
        thresholds.ROLES,  # heads without a value
        thresholds.RELAXATION,  # with the detector it attends to both quotes
    },
    "weights permuted": {
        thresholds.FROZEN_NORMS,
        thresholds.TEST_POOL,
        thresholds.NECESSITY,
        thresholds.RELAXATION,
    },
    "random nodes": {
        thresholds.FROZEN_NORMS,
        thresholds.TEST_POOL,
        thresholds.STOCHASTIC,
        thresholds.CURVE,
    },
    "nonsense labels": {
        thresholds.FROZEN_NORMS,
        thresholds.TEST_POOL,
        thresholds.STOCHASTIC,
        thresholds.ABLATION_KINDS,
    },
}


SOME = (
    thresholds.FROZEN_NORMS,
    thresholds.ABLATION_KINDS,
    thresholds.INTERCHANGE,
    thresholds.ROLES,
    thresholds.RELAXATION,
)


@functools.cache
def found(name: str) -> dict[str, Entry]:
    """Entries of all quick controls, or of some for models with a sink, which need
    other programs."""
    names = SOME if name in trials.SINKS else thresholds.QUICK
    return {entry.name: entry for entry in trials.entries(name, names)}


def failed(name: str) -> set[str]:
    return {n for n, entry in found(name).items() if entry.verdict == thresholds.FAIL}


def test_the_known_circuit_passes_every_control() -> None:
    own = found(trials.KNOWN)
    assert set(own) == set(thresholds.QUICK)
    verdicts = {name: entry.verdict for name, entry in own.items()}
    assert verdicts.pop(thresholds.ADVERSARY) == thresholds.NONE
    assert set(verdicts.values()) == {thresholds.PASS}
    # No other node has an effect.
    assert own[thresholds.ADVERSARY].figure["epsilon"] is None
    assert own[thresholds.NECESSITY].figure["cost"] == pytest.approx(
        np.log(2), abs=0.01
    )
    assert own[thresholds.NECESSITY].data["twins"] == []
    assert own[thresholds.CURVE].figure["drift"] == pytest.approx(0, abs=1e-4)
    assert own[thresholds.ROLES].data["heads"]["value, no query or key"] == []


@pytest.mark.parametrize("name", BY)
def test_broken_and_wrong_circuits_fail_at_least_four_controls(name: str) -> None:
    assert failed(name) >= BY[name]
    assert len(failed(name)) >= 4


def test_a_sink_head_fails_only_for_its_uncounted_values() -> None:
    """The whole model works in the same way, so only controls of constants fail: under
    zero ablation the head writes nothing, and it keeps no value. The count of its edges
    shows it too, see test_broken."""
    assert failed("sink head") == {thresholds.ABLATION_KINDS, thresholds.ROLES}
    own = found("sink head")
    assert own[thresholds.ABLATION_KINDS].figure["accuracy, zero"] == 0.5
    assert own[thresholds.ROLES].data["heads"]["query or key, no value"] == ["1.0"]
    assert (own[thresholds.ROLES].figure["nats by heads without a value"] or 0) > 0.5


def test_a_second_head_for_the_same_is_reported() -> None:
    own = found(trials.TWIN)[thresholds.NECESSITY]
    assert own.data["twins"] == ["head 1.0"]
    assert "needs head 1.0, but the whole model does not" in own.words
    assert found(trials.KNOWN)[thresholds.NECESSITY].data["parts"][0]["part"] == "MLP 0"


def test_entries_can_be_written_and_have_a_sentence() -> None:
    for entry in found("weights permuted").values():
        told = to_json(entry)
        assert told["words"].endswith(".")
        assert set(told) >= {"name", "verdict", "figure", "baseline", "data"}
        assert to_json(from_json(told)) == told
        assert "nan" not in str(told)  # the fractions of a model with no margin


def test_margins_of_many_draws_are_those_of_each_alone() -> None:
    own = trials.made("norm crutch")
    rng = np.random.default_rng(0)
    keep = {s: np.asarray(x) for s, x in own.keep.items()}
    masks = [others_like(keep, rng) for _ in range(3)]
    told: list[Progress] = []
    reporting = trials.evidence(own.params, own.keep)
    object.__setattr__(reporting, "report", told.append)
    each = evidence.stacked(masks)
    many = reporting.margins(evidence.masked, own.means, each, "some", frozen=True)
    for mask, margin_B in zip(masks, many, strict=True):
        one = ablations.margins(
            own.config, own.params, own.few.asked, ablations.mean(mask, own.means),
            own.few.scales,
        )  # fmt: skip
        np.testing.assert_allclose(margin_B, np.asarray(one), atol=1e-4)
    assert told[0].stage == "quotes, honest, some"
    assert told[-1].done == told[-1].total == 3


def test_h_is_that_of_the_judge() -> None:
    own = trials.made("norm crutch")
    wanted = Judge(own.config, own.params, own.means, own.few, honest=True)
    figures = wanted.figures(own.keep)
    entry = found("norm crutch")[thresholds.STOCHASTIC]
    assert entry.figure["H"] == pytest.approx(figures["H"], abs=1e-4)
    mean = entry.figure["mean of draws"]
    assert mean == pytest.approx(figures["stochastic_mean"], abs=1e-4)
    assert len(entry.data["draws"]) == 100


def test_random_masks_have_as_many_nodes_and_none_of_the_circuit() -> None:
    keep = {site: np.asarray(x) for site, x in compiled.mask().items()}
    other = others_like(keep, np.random.default_rng(1))
    for site, x in keep.items():
        np.testing.assert_array_equal(other[site].sum(-1), x.sum(-1))
        assert not (other[site] * x).any()
    crowded = {"q": np.array([[1.0, 1, 1, 0]])}
    (row,) = others_like(crowded, np.random.default_rng(1))["q"]
    assert row.tolist() == [0, 0, 0, 1]  # all others


def test_parts_are_heads_and_mlps() -> None:
    keep = {site: np.asarray(x) for site, x in compiled.mask().items()}
    assert [name for name, _ in parts_of(compiled.CONFIG, keep)] == [
        "MLP 0",
        "head 1.0",
    ]


def test_correlations_and_their_verdicts() -> None:
    own = trials.made(trials.KNOWN)
    assert min(role_agreement.correlations(own).values()) == pytest.approx(1)
    for r, verdict in (
        (0.95, thresholds.PASS),
        (0.8, thresholds.WEAK),
        (-1.0, thresholds.FAIL),
    ):
        assert thresholds.CORRELATION.verdict(r) == verdict
    assert thresholds.CORRELATION.verdict(float("nan")) == thresholds.FAIL
    assert thresholds.LOSS.verdict(float("nan")) == thresholds.FAIL


def test_a_small_epsilon_breaks_the_cancelling_pair() -> None:
    epsilon = found("cancelling pair")[thresholds.ADVERSARY].figure["epsilon"]
    assert epsilon is not None
    assert epsilon < 0.3
    assert crossing((0.1, 0.2), [0.0, 1.0], 0.5) == pytest.approx(0.15)
    assert crossing((0.1, 0.2), [0.9, 1.0], 0.5) == 0.1


def test_names_of_controls_are_checked() -> None:
    with pytest.raises(Refusal, match="did you mean roles"):
        battery.named("rolse,seeds")
    assert battery.named("seeds,frozen_norms") == [
        thresholds.FROZEN_NORMS,
        thresholds.SEEDS,
    ]


def test_a_control_that_cannot_be_set_up_gives_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: object) -> Entry:
        raise Refusal("no text here\nsecond line")

    monkeypatch.setattr(battery, "QUICK", {thresholds.ROLES: refuse})
    own = battery.one(trials.made(trials.KNOWN), thresholds.ROLES, Asked())
    assert (own.verdict, own.words) == (thresholds.NOT_RUN, "no text here")


def test_every_bar_has_its_reason() -> None:
    for name, bar in thresholds.BARS.items():
        assert getattr(thresholds, name) is bar
        assert len(bar.why) > 30
        assert (bar.passes < bar.weak) == bar.low
    assert set(battery.QUICK) == set(thresholds.QUICK)
    assert len(thresholds.NAMES) == 13
    assert jax.local_device_count() == 8  # draws are spread over all of them
