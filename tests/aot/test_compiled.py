"""A run's programs, compiled by the TPU's compiler, and the counts made of them."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sparsetx.aot import memory, operation_counts, program, report, roofline, topology
from sparsetx.cli import experiment
from sparsetx.config import MeshConfig, RunConfig
from sparsetx.model import mesh
from sparsetx.projection import project_matrix
from tests.counted import recorded
from tests.house import ROOT

LARGEST = 64 * 2**10  # bytes of a result that the projection may exchange


def small(**model: Any) -> RunConfig:
    """The tiny experiment, for eight chips or more; bfloat16, as on TPUs."""
    run = experiment.load(str(ROOT / "experiments" / "tiny.py"))
    changed = {"compute": "bfloat16", "bigram": "none"} | model
    return dataclasses.replace(run, model=dataclasses.replace(run.model, **changed))


@functools.cache
def step() -> report.Found:
    """The training step with remat, two ways of sharding: compiled once."""
    run = dataclasses.replace(small(remat=True), mesh=MeshConfig(fsdp=2))
    here = topology.find("v5e-4")
    made = program.training(program.target(run, here))
    return report.Found("tiny", run, here, made, here.price, here.priced)


def test_the_recorded_text_is_what_the_compiler_writes() -> None:
    """If not, versions differ: `python -m tests.counted.recorded` writes it again."""
    chips = topology.devices(topology.find("v5e-4"))
    found = operation_counts.tally(recorded.compiled(chips).as_text(), 4)
    kept = operation_counts.tally(recorded.FILE.read_text(), 4)
    assert found.products == kept.products == recorded.PRODUCTS
    assert found.by_kind == kept.by_kind


def test_products_of_the_step_are_those_of_the_configuration() -> None:
    agreement = step().agreement
    assert agreement is not None
    assert abs(agreement - 1) < 0.1


def test_the_step_reuses_the_state_that_it_is_given() -> None:
    """Twelve bytes for each parameter, half of them on each of the two shards."""
    made = step().program
    assert made.given > 0
    assert made.memory.reused >= 0.95 * made.given


def test_nothing_is_wrong_with_it() -> None:
    assert list(report.offences([step()])) == []
    assert step().program.tally.unknown == []
    text = "\n".join([*report.details(step()), *report.costs(step())])
    assert "all-" in text
    assert "USD for 10^9 tokens" in text


def test_selection_asks_no_other_chip() -> None:
    """A loop of AbsTopK runs to its end on each chip by itself: in a whole step there
    are as many exchanges as layers and parameters call for, not one for each pass."""
    exchanges = sum(times for _, times in step().program.tally.by_kind.values())
    assert exchanges < 30 * (small().model.n_layer + 1)


@pytest.mark.parametrize("fsdp", [64, 256])
def test_the_projection_of_the_4x_model_on_256_chips(fsdp: int) -> None:
    """Counts travel, entries do not; beside the shards there is less than as much
    again. (Some megabytes are the compiler's, however small the shards.)"""
    run = experiment.load(str(ROOT / "experiments" / "paper_4x.py"))
    run = dataclasses.replace(run, mesh=MeshConfig(fsdp=fsdp))
    here = topology.find("v5e-256")
    made = program.projecting(program.target(run, here))
    assert 0 < made.tally.largest <= LARGEST
    assert made.memory.temporary < 2 * made.memory.arguments
    assert roofline.of(made.tally, here).step < 1e-3  # seconds


@pytest.mark.parametrize("axis", [0, 1])
def test_a_matrix_over_either_axis_of_128_chips(axis: int) -> None:
    """Of a matrix cut across its neurons the largest of each is exchanged, 16 kB one
    after the other: cut along them, nothing but totals. No matrix travels."""
    chips = topology.devices(topology.find("v5e-128"))
    mesh = Mesh(np.array(chips), ("x",), axis_types=(AxisType.Auto,))
    spec = [None, None]
    spec[axis] = "x"  # type: ignore[call-overload]
    where = NamedSharding(mesh, PartitionSpec(*spec))
    w = jax.ShapeDtypeStruct((16384, 4096), jnp.float32, sharding=where)
    k = jax.ShapeDtypeStruct((), jnp.int32)
    f = jax.jit(functools.partial(project_matrix, alive=4, neuron_axis=1))
    made = f.lower(w, k).compile()
    found = operation_counts.tally(made.as_text(), 128)
    single = max(
        shape.bytes for one in _exchanged(made.as_text()) for shape in one.shapes
    )
    assert 0 < single <= LARGEST
    assert found.largest <= (LARGEST if axis == 1 else 7 * 4096 * 4)
    shard = 16384 * 4096 * 4 // 128
    assert made.memory_analysis().temp_size_in_bytes < 2 * shard


def _exchanged(text: str) -> list[Any]:
    from sparsetx.aot import hlo

    module = hlo.parse(text)
    return [
        one
        for computation in module.computations.values()
        for one in computation.instructions
        if one.opcode.removesuffix("-start") in operation_counts.COLLECTIVES
    ]


def test_the_pruning_program_exchanges_nothing() -> None:
    made = program.prune(small(), topology.find("v5e-16"), length=16)
    assert made.tally.exchanges == []
    assert made.tally.unknown == []
    assert made.tally.products > 0


def test_what_does_not_fit_is_said_in_numbers(tmp_path: Path) -> None:
    chips = topology.devices(topology.find("v5e-1"))
    where = NamedSharding(Mesh(np.array(chips), ("x",)), PartitionSpec())
    x = jax.ShapeDtypeStruct((2**17, 2**16), jnp.float32, sharding=where)
    large = jax.jit(lambda x: jnp.sin(x) @ x.T).lower(x)
    refused = pytest.raises(memory.TooLarge, match=r"sum: \d+\.\d+ GiB of 1\d\.\d+ GiB")
    with refused, memory.explained("sum"):
        large.compile()


@pytest.mark.parametrize("ours", [True, False])
def test_a_weight_is_gathered_and_not_passed_round(ours: bool) -> None:
    """Left to itself, the compiler multiplies with the parts of a divided weight."""
    devices = mesh.make(
        MeshConfig(fsdp=16), 16, topology.devices(topology.find("v5e-16"))
    )
    rows = mesh.batch_sharding(devices)
    divided = NamedSharding(devices, PartitionSpec(None, mesh.FSDP))
    x = jax.ShapeDtypeStruct((2**15, 1024), jnp.bfloat16, sharding=rows)
    w = jax.ShapeDtypeStruct((1024, 4096), jnp.float32, sharding=divided)

    def product(x: jax.Array, w: jax.Array) -> jax.Array:
        y = jax.nn.gelu(x @ w.astype(x.dtype))
        held: jax.Array = jax.lax.with_sharding_constraint(y, rows)
        return held

    options = mesh.compiler_options(mesh.platform_of(devices)) if ours else {}
    compiled = jax.jit(product, compiler_options=options).lower(x, w).compile()
    found = operation_counts.tally(compiled.as_text(), 16).by_kind
    assert ("collective-permute" in found) == (not ours)
    assert ("all-gather" in found) == ours
