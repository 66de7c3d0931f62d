"""Which programs use kernels, and that a model trains with them as with the twins."""

import dataclasses
import functools
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.config import ModelConfig, RunConfig, SparsityConfig, TrainConfig
from sparsetx.model import kernels
from sparsetx.system import fields
from sparsetx.training import step
from tests.small import FEW, params_of

LONG = dataclasses.replace(FEW, context=24)
TOKENS = jnp.asarray(np.random.default_rng(3).integers(0, 37, (2, 20)))


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Kernels, interpreted here, wherever a TPU would use them."""

    def use(config: ModelConfig) -> kernels.Use:
        return "interpreted" if config.kernels else "no"

    monkeypatch.setattr(kernels, "use", use)
    jax.clear_caches()  # of programs that were traced without
    yield
    jax.clear_caches()


def kernels_of(config: ModelConfig, tap: Any = None) -> set[str]:
    """The kernels that a program calls."""
    params = params_of(config)
    found = jax.make_jaxpr(lambda p: model.trace(config, p, TOKENS, tap))(params)
    return set(re.findall(r"name=(attention_forward|topk_search)", str(found)))


def test_never_on_a_cpu() -> None:
    assert kernels.platform() == "cpu"
    assert kernels.use(LONG) == "no"
    assert kernels_of(LONG) == set()


def test_on_a_tpu_wherever_its_mesh_is_set() -> None:
    """The mesh's devices count, not this process's."""
    device = jax.sharding.AbstractDevice("TPU v5 lite", 1, "tpu")
    mesh = jax.sharding.AbstractMesh((1,), ("x",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        assert kernels.platform() == "tpu"
        assert kernels.use(LONG) == "compiled"
        assert kernels.use(dataclasses.replace(LONG, kernels=False)) == "no"


@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize(
    ("tap", "used"),
    [
        (None, True),
        (taps.capture(nodes.NODE_SITES), True),
        (taps.capture([nodes.ATTN_PATTERN]), False),
        (lambda site, x: x, False),  # who knows what it looks at
        (taps.compose(taps.IDENTITY, taps.capture([nodes.FINAL])), True),
        (taps.compose(taps.IDENTITY, taps.capture([nodes.ATTN_PATTERN])), False),
        (taps.compose(taps.IDENTITY, lambda site, x: x), False),
    ],
)
def test_only_where_no_tap_looks_at_the_pattern(tap: Any, used: bool) -> None:
    assert kernels_of(LONG, tap) == {"topk_search", *["attention_forward"] * used}


@pytest.mark.usefixtures("interpreted")
def test_not_for_shapes_that_do_not_fit() -> None:
    """Few tokens, many, wide heads."""
    assert kernels.attention(LONG, taps.IDENTITY, 15) == "no"
    assert kernels.attention(LONG, taps.IDENTITY, 2048) == "interpreted"
    assert kernels.attention(LONG, taps.IDENTITY, 2049) == "no"
    wide = dataclasses.replace(LONG, d_head=129)
    assert kernels.attention(wide, taps.IDENTITY, 100) == "no"


@pytest.mark.slow
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("remat", [False, True])
def test_logits_and_gradients_of_a_whole_model(remat: bool) -> None:
    config = dataclasses.replace(LONG, remat=remat)
    params = params_of(config)

    @functools.partial(jax.jit, static_argnums=0)
    def loss(config: ModelConfig, params: Any) -> Any:
        logits = model.apply(config, params, TOKENS)
        return jnp.mean(logits**2)

    ways = [dataclasses.replace(config, kernels=used) for used in (True, False)]
    found = [jax.value_and_grad(functools.partial(loss, c))(params) for c in ways]
    (ours, own), (theirs, other) = found
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    for x, y in zip(jax.tree.leaves(own), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(x, y, atol=1e-4 * float(jnp.abs(y).max() + 1e-3))


@pytest.mark.usefixtures("interpreted")
def test_what_a_tap_takes_is_the_same() -> None:
    params = params_of(LONG)
    tap = taps.capture(nodes.NODE_SITES)
    ways = [dataclasses.replace(LONG, kernels=used) for used in (True, False)]
    ours, theirs = (model.trace(c, params, TOKENS, tap)[1] for c in ways)
    assert set(ours) == set(theirs)
    for site, x in ours.items():
        np.testing.assert_allclose(x, theirs[site], atol=1e-4, err_msg=site)


@pytest.mark.slow
@pytest.mark.usefixtures("interpreted")
def test_training_with_kernels_loses_what_it_loses_with_their_twins() -> None:
    """Sixty steps of a sparse model, to 1e-4 nats."""
    shape = ModelConfig(
        vocab_size=32, context=16, n_layer=1, d_model=32, n_head=2, d_head=8, d_mlp=64,
        afrac=None, sink=True,
    )  # fmt: skip
    run = RunConfig(
        model=shape,
        sparsity=SparsityConfig(block=1 / 2, embed=1 / 2),
        train=TrainConfig(steps=60, batch=8),
    )
    start = model.init(shape, jax.random.key(0))
    rows = np.random.default_rng(0).integers(0, 6, (60, 8, 17)).cumsum(-1) % 32

    def losses(used: bool) -> list[float]:
        own = dataclasses.replace(run, model=dataclasses.replace(shape, kernels=used))
        one = jax.jit(functools.partial(step.train_step, own))
        state, found = step.init_state(own, start), []
        for batch in rows:
            state, told = one(state, jnp.asarray(batch))
            found.append(float(told["loss"]))
        return found

    ours, theirs = losses(True), losses(False)
    assert theirs[-1] < theirs[0] - 0.3
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_the_setting_is_free_to_change() -> None:
    """It does not change what a run computes, beyond rounding."""
    from sparsetx.run import provenance

    assert "model.kernels" in provenance.FREE
    assert fields.to_json(ModelConfig())["kernels"] is True
