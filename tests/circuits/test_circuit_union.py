"""What the union of circuits predicts of text."""

import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes
from sparsetx.circuits import circuit_union
from sparsetx.circuits.measure import ablations
from tests.circuits import compiled

CONFIG = compiled.CONFIG
PARAMS = compiled.params()
TEXT = np.asarray(compiled.corpus())
MEANS = ablations.means(CONFIG, PARAMS, jnp.asarray(TEXT))
FREQUENCY = np.bincount(TEXT.ravel(), minlength=CONFIG.vocab_size) + 1.0
FREQUENCY /= FREQUENCY.sum()


def union(*keeps: dict[str, np.ndarray]) -> circuit_union.Understood:
    return circuit_union.understood(CONFIG, PARAMS, MEANS, keeps, TEXT, FREQUENCY)


def mask(value: float) -> dict[str, np.ndarray]:
    return {s: np.full(shape, value) for s, shape in nodes.shapes(CONFIG).items()}


def test_all_nodes_are_the_whole_model_and_none_are_nothing() -> None:
    every = union(mask(1.0))
    assert every.circuits == every.random == every.whole
    assert every.share == every.nodes_share == 1
    assert every.nodes == every.of == every.served[1]
    empty = union(mask(0.0))
    assert empty.circuits == empty.nothing
    assert empty.nodes_share == 0
    assert empty.served == {0: empty.of}
    assert empty.unigram == pytest.approx(every.unigram)


def test_nodes_are_counted_by_the_circuits_that_have_them() -> None:
    known = {s: np.asarray(x) for s, x in compiled.mask().items()}
    size = int(sum(x.sum() for x in known.values()))
    found = union(known, known, mask(0.0))
    assert found.served == {0: found.of - size, 2: size}
    assert found.nodes == size
    other = {s: 1 - x for s, x in known.items()}
    assert union(known, other).share == pytest.approx(1)


def test_losses_are_nats_per_token_of_text() -> None:
    found = union(mask(1.0))
    target = TEXT[..., 1:]
    assert found.unigram == pytest.approx(-np.log(FREQUENCY[target]).mean())
    rows = TEXT.reshape(-1, TEXT.shape[-1])
    logits = np.asarray(model.apply(CONFIG, PARAMS, rows[:, :-1]), np.float64)
    norm = np.log(np.exp(logits).sum(-1))
    own = np.take_along_axis(logits, rows[:, 1:, None], -1)[..., 0]
    assert found.whole == pytest.approx((norm - own).mean(), rel=1e-5)
