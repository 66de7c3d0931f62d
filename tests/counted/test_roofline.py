"""Times and costs from known figures, and the operations expected of a model."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model
from sparsetx.aot import operation_counts, roofline, topology
from sparsetx.aot.operation_counts import Exchange, Tally, Work
from sparsetx.config import ModelConfig, RunConfig, TrainConfig
from tests.house import ROOT

POD = dataclasses.replace(
    topology.find("v5e-16"), products=1e12, hbm_rate=1e9, wires=1e9, price=2.0
)


def work(
    passes: float = 0, hbm: float = 0, vector: float = 0, waits: bool = True
) -> Work:
    return Work("w", 2.0, passes, passes, vector, hbm, waits)


def test_each_instruction_takes_as_long_as_its_slowest_part() -> None:
    """Instructions that use different units do not run in parallel."""
    tally = Tally([work(passes=1e12), work(hbm=3e9)])
    line = roofline.of(tally, POD)
    assert (line.matrix, line.hbm, line.step) == (2.0, 6.0, 8.0)
    assert line.bound_by == "HBM"
    together = roofline.of(Tally([Work("w", 2.0, 1e12, 1e12, 0, 3e9)]), POD)
    assert together.step == 6.0


def test_what_is_fetched_beside_the_rest_only_bounds_it() -> None:
    tally = Tally([work(passes=1e12), work(hbm=0.5e9, waits=False)])
    assert roofline.of(tally, POD).step == 2.0
    tally = Tally([work(passes=1e12), work(hbm=3e9, waits=False)])
    assert roofline.of(tally, POD).step == 6.0


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("all-reduce", 2 * 1600 * 15 / 16),
        ("all-gather", 1600 * 15 / 16),
        ("reduce-scatter", 1600 * 15),
        ("all-to-all", 1600 * 15 / 16),
        ("collective-permute", 1600),
    ],
)
def test_what_a_chip_sends(kind: str, sent: float) -> None:
    """And a microsecond for each hop: half way around both rings of 4 x 4 chips, twice
    where a sum goes out again."""
    one = Exchange(kind, 1.0, 1600, 16, True, "e")
    hops = 8 if kind == "all-reduce" else 4
    found = roofline.exchange(one, POD)
    assert math.isclose(found, sent / POD.wires + hops * roofline.HOP)
    assert roofline.exchange(dataclasses.replace(one, devices=1), POD) == 0.0


def test_exchanges_that_are_waited_for_are_added() -> None:
    waited = Exchange("all-gather", 3.0, 16e9, 16, True, "e")
    beside = dataclasses.replace(waited, waits=False)
    alone = 3 * roofline.exchange(waited, POD)
    some = [work(passes=1e12)]
    assert roofline.of(Tally(some, [waited]), POD).step == 2.0 + alone
    assert roofline.of(Tally(some, [beside]), POD).step == max(2.0, alone)
    assert roofline.of(Tally(some, [beside]), POD).wires == alone


def test_the_bill() -> None:
    config = RunConfig(train=TrainConfig(steps=3600, batch=16))
    bill = roofline.bill(config, 2.0, POD, 2.0)
    assert (bill.hours, bill.usd) == (2.0, 2.0 * 16 * 2.0)
    assert bill.tokens == 3600 * 16 * 256
    assert math.isclose(bill.usd_per_billion, 64 / bill.tokens * 1e9)


@pytest.mark.parametrize("remat", [False, True])
def test_what_is_expected_is_what_a_program_computes(remat: bool) -> None:
    """Of a model without zeros to exploit: matrices, attention, and remat's repeats,
    compiled for a CPU, which removes no product. The last product of a rematerialised
    block is not needed again: its result is thrown away."""
    shape = ModelConfig(
        vocab_size=64, context=32, n_layer=3, d_model=32, n_head=4, d_head=8,
        d_mlp=64, remat=remat, afrac=None,
    )  # fmt: skip
    config = RunConfig(model=shape)
    params = jax.eval_shape(lambda: model.init(shape, jax.random.key(0)))
    tokens = jax.ShapeDtypeStruct((4, 32), jnp.int32)

    def loss(params: dict[str, object], tokens: jax.Array) -> jax.Array:
        return jnp.sum(jnp.square(model.apply(shape, params, tokens)))

    want = roofline.expected(config)
    for f, each in ((loss, want.forwards), (jax.grad(loss), want.training)):
        text = jax.jit(f).lower(params, tokens).compile().as_text()
        found = operation_counts.tally(text).products
        np.testing.assert_allclose(found, each * 4 * 32, rtol=0.08)


def test_the_count_of_matrices_is_the_table_s() -> None:
    from sparsetx.cli import experiment

    config = experiment.load(str(ROOT / "experiments" / "paper_4x.py"))
    want = roofline.expected(config)
    assert want.matrices == 8 * 12 * 1024**2 + 1024 * 2048
    assert want.attention == 4 * 256 * 1024 * 8
    assert want.again == 2 * 8 * 12 * 1024**2 + want.attention
    plain = dataclasses.replace(config.model, remat=False)
    assert roofline.expected(dataclasses.replace(config, model=plain)).again == 0


@pytest.mark.parametrize(("context", "part"), [(100, 1), (256, 3 / 4), (2048, 17 / 32)])
def test_a_kernel_computes_tiles_up_to_the_diagonal(context: int, part: float) -> None:
    """And, backwards, scores once more: five products for the forward pass's two."""
    config = RunConfig(model=ModelConfig(context=context, remat=True))
    twin, own = (roofline.expected(config, kernel) for kernel in (False, True))
    assert own.useful == twin.useful
    whole = own.attention
    assert own.forwards == twin.forwards - (1 - part) * whole
    assert math.isclose(twin.training - own.training, (4 - (1 + 3.5) * part) * whole)


def test_utilisation_is_of_useful_work() -> None:
    config = RunConfig(train=TrainConfig(batch=16))
    step = 3.0
    share = roofline.utilisation(config, step, POD)
    useful = roofline.expected(config).useful * 16 * 256
    assert math.isclose(share, useful / (step * 16 * 1e12))


class Chip:
    def __init__(self, kind: str):
        self.device_kind = kind


@pytest.mark.parametrize(
    ("kind", "count", "name"),
    [
        ("TPU v4", 16, "v4-32"),
        ("TPU v5 lite", 16, "v5litepod-16"),
        ("TPU v5e", 4, "v5litepod-4"),
        ("TPU v5", 64, "v5p-128"),
        ("TPU v6 lite", 256, "v6e-256"),
        ("cpu", 8, None),
        ("NVIDIA H100", 8, None),
        ("TPU v5 lite", 3, None),
    ],
)
def test_the_slice_of_devices_that_are_there(
    kind: str, count: int, name: str | None
) -> None:
    found = topology.attached([Chip(kind)] * count)
    assert (None if found is None else found.name) == name


def test_what_a_run_is_held_against() -> None:
    """Dense: the operations of every weight. Of nonzeros: in the end, of each matrix
    that is multiplied with, its budget."""
    shape = ModelConfig(n_layer=2, d_model=256, d_mlp=1024, n_head=16, d_head=16)
    run = RunConfig(model=shape, train=TrainConfig(steps=100, batch=4))
    tally = Tally([work(passes=1e12)])
    yard = roofline.yardstick(run, POD, tally)
    tokens = 4 * shape.context
    assert yard.peak == POD.chips * 1e12
    assert yard.least == 2.0
    assert yard.dense == roofline.expected(run).useful * tokens
    assert yard.nonzeros(0) == pytest.approx(yard.dense)
    weights = {"qkv": 256 * 768, "out": 256 * 256, "fc": 256 * 1024, "proj": 1024 * 256}
    block = 2 * sum(weights.values())
    last = shape.vocab_size * 256  # the unembedding; an embedding is only looked up
    kept = run.sparsity.kept_block(256) * block + run.sparsity.kept_embed(256) * last
    attention = 3 * roofline.expected(run).attention
    assert yard.nonzeros(100) == pytest.approx((6 * kept + attention) * tokens)
    assert yard.nonzeros(100) < yard.nonzeros(25) < yard.dense
    assert roofline.yardstick(run, POD, None).least is None
