"""Kernels compiled by the TPU's compiler, alone and within a run's programs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sparsetx.aot import operation_counts, program, topology
from sparsetx.aot.operation_counts import Tally
from sparsetx.config import MeshConfig, RunConfig
from sparsetx.model.kernels import attention_kernel
from sparsetx.model.kernels.plan import Plan
from sparsetx.topk import kernel
from tests.aot.test_compiled import small as tiny
from tests.aot.test_compiled import step

CHIPS = ("v5e-1", "v5p-8", "v6e-4")
SITES = 8  # of a block, at which AbsTopK acts


def compiled(chip: str, f: Any, *shapes: tuple[tuple[int, ...], str]) -> str:
    devices = topology.devices(topology.find(chip))[:1]
    mesh = Mesh(np.array(devices), ("x",))
    where = NamedSharding(mesh, PartitionSpec())
    given = [jax.ShapeDtypeStruct(*shape, sharding=where) for shape in shapes]
    with jax.set_mesh(mesh):
        lowered = jax.jit(f).lower(*given)
    return str(lowered.compile().as_text())


ATTENTION = [
    ((2, 256, 16, 16), "bfloat16", False),
    ((1, 2048, 8, 16), "float32", True),
    ((1, 100, 3, 24), "bfloat16", True),
    ((1, 16, 2, 6), "float32", True),
    ((1, 300, 16, 8), "bfloat16", False),
    ((1, 512, 2, 128), "bfloat16", True),
]


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(("shape", "kind", "sink"), ATTENTION)
def test_attention(
    chip: str, shape: tuple[int, int, int, int], kind: str, sink: bool
) -> None:
    """Forwards and backwards; what is stated is what the compiled program says."""
    batch, length, n_head, d_head = shape

    def both(*args: jax.Array) -> Any:
        *given, grad = args

        def mixed(q: Any, k: Any, v: Any, sink_H: Any = None) -> jax.Array:
            mix: jax.Array = attention_kernel.attention(q, k, v, sink_H, d_head)
            return mix

        y, backwards = jax.vjp(mixed, *given)
        return y, backwards(grad)

    wide = (batch, length, n_head * d_head), kind
    logits = [((n_head,), "float32")] if sink else []
    text = compiled(chip, both, wide, wide, wide, *logits, wide)
    found = operation_counts.tally(text)
    plan = Plan.of(jnp.zeros(*wide), d_head)
    for name in ("forward", "backward"):
        (own,) = [w for w in found.work if f"attention_{name}" in w.name]
        stated = attention_kernel.cost(plan, name == "forward")
        assert own.products == stated.products
        assert own.passes == pytest.approx(stated.passes)
        assert own.vector == pytest.approx(stated.vector)


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("shape", [(2, 128, 1024), (3, 5, 24), (40, 16384)])
def test_selection(chip: str, shape: tuple[int, ...]) -> None:
    text = compiled(chip, lambda x: kernel.search(x, 7), (shape, "float32"))
    (own,) = [w for w in operation_counts.tally(text).work if "topk" in w.name]
    rows = max(int(np.prod(shape[:-1])), kernel.block_rows(shape[-1]))
    stated = kernel.cost(int(np.prod(shape[:-1])), shape[-1])
    assert own.vector == pytest.approx(stated.vector, rel=1e-3)
    assert own.hbm <= 8 * rows * shape[-1] + 2**20


def calls(found: Tally, kernel: str) -> float:
    return sum(w.times for w in found.work if kernel in w.name)


def test_a_training_step_calls_them_once_for_each_layer() -> None:
    """AbsTopK also where blocks are computed again: thresholds are kept."""
    layers = tiny().model.n_layer
    found = step().program.tally
    assert calls(found, "topk_search") == SITES * layers
    assert calls(found, "attention_forward") == 2 * layers
    assert calls(found, "attention_backward") == layers
    assert found.calls("attention_forward")


def test_none_where_they_are_turned_off() -> None:
    run = dataclasses.replace(tiny(kernels=False), mesh=MeshConfig(fsdp=2))
    found = evaluated(run)
    assert not found.calls("topk_search")
    assert not found.calls("attention_forward")
    assert evaluated(dataclasses.replace(tiny(), mesh=run.mesh)).calls("topk_search")


def evaluated(run: RunConfig) -> Tally:
    here = topology.find("v5e-4")
    return program.evaluation(program.target(run, here)).tally


def test_the_search_for_circuits_calls_them_too() -> None:
    """Within a vmap over lanes, which adds an axis to each kernel's grid."""
    made = program.prune(tiny(), topology.find("v5e-16"), length=16)
    assert made.tally.calls("attention_backward")
    assert made.tally.calls("topk_search")
    assert made.tally.exchanges == []
