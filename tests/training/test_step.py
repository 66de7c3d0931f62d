"""The step: budgets, the gate, accumulation, decay, sharding; the loop around it.

Parity with an independent derivation of the whole step is tests/torch's.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, projection
from sparsetx.config import (
    MeshConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.model import mesh, parameters
from sparsetx.run import metrics_log
from sparsetx.run.metrics_log import Row
from sparsetx.system.errors import Refusal
from sparsetx.system.progress import Progress
from sparsetx.training import loop, optimiser, step
from tests.collectives import collectives

RUN = RunConfig(
    model=ModelConfig(
        vocab_size=32, context=8, n_layer=2, d_model=16, n_head=2, d_head=8, d_mlp=32,
        bigram="random", afrac_sites=(nodes.ATTN_IN, nodes.MLP_NEURON),
    ),
    sparsity=SparsityConfig(block=1 / 4, embed=1 / 2, alive=2),
    optim=OptimConfig(lr=1e-2, eps=1e-3, weight_decay=0.1),
    train=TrainConfig(steps=20, batch=8, eval_every=5, save_every=5, log_every=2),
)  # fmt: skip


# The mesh that has both axes; each alone in slow tests.
MESHES = [
    (2, 4),
    *(pytest.param(*one, marks=pytest.mark.slow) for one in ((8, 1), (1, 8))),
]


def batch(step: int, run: RunConfig = RUN) -> jax.Array:
    rng = np.random.default_rng(step)
    shape = (run.train.batch, run.model.context + 1)
    return jnp.asarray(rng.integers(0, run.model.vocab_size, shape), jnp.int32)


def step_of(run: RunConfig) -> Any:
    """The compiled step, on a copy of the state: the step gives its buffers away."""
    return lambda state, rows: loop.step_function(run)(
        jax.tree.map(jnp.copy, state), rows
    )


def fresh(run: RunConfig = RUN) -> step.State:
    return step.init_state(run, model.init(run.model, jax.random.key(0)))


def test_exact_budgets_at_every_step_with_one_compilation() -> None:
    compiled = 0

    @jax.jit
    def one(state: step.State, rows: jax.Array) -> Any:
        nonlocal compiled
        compiled += 1
        return step.train_step(RUN, state, rows)

    state = fresh()
    for n in range(RUN.train.steps):
        state, metrics = one(state, batch(n))
        t = jnp.float32((n + 1) / RUN.train.steps)
        found = dict(parameters.leaves(state.params))
        for budget in projection.budgets(RUN):
            w = np.asarray(found[budget.parameter.path])
            w = w if budget.parameter.stacked else w[None]
            kept = int(projection.kept_now(RUN, budget, t))
            assert [np.count_nonzero(layer) for layer in w] == [kept] * len(w)
            axis = budget.parameter.neuron_axis
            if axis is not None:
                own = (1 - axis) + 1
                assert np.count_nonzero(w, axis=own).min() >= RUN.sparsity.alive
        assert float(metrics["bad"]) == 0
    assert compiled == 1
    ends = {b.parameter.name: b.final for b in projection.budgets(RUN)}
    assert ends["blocks/qkv/w"] == 16 * 48 // 4
    assert ends["embed/w"] == 32 * 16 // 2
    assert float(metrics["kept"]) == 0.25


def test_a_dense_run_is_the_same_program_without_budgets() -> None:
    dense = dataclasses.replace(
        RUN, sparsity=SparsityConfig(block=1.0, embed=1.0),
        model=dataclasses.replace(RUN.model, afrac=None),
    )  # fmt: skip
    assert projection.budgets(dense) == []
    state, _ = step_of(dense)(fresh(dense), batch(0))
    kept = [np.count_nonzero(x) / x.size for _, x in parameters.leaves(state.params)]
    assert min(kept) > 0.9


def test_it_learns() -> None:
    rows = batch(0)
    state, first = step_of(RUN)(fresh(), rows)
    for _ in range(RUN.train.steps - 2):
        state, last = step_of(RUN)(state, rows)
    assert float(last["loss"]) < float(first["loss"]) - 0.1


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted() -> None:
    state, _ = step_of(RUN)(fresh(), batch(0))
    broken = dataclasses.replace(
        state,
        params=state.params
        | {"final_norm": {"gain": jnp.full(RUN.model.d_model, jnp.nan)}},
    )
    after, metrics = step_of(RUN)(broken, batch(1))
    assert int(after.step) == 2
    assert (int(after.bad), int(after.skipped), int(metrics["bad"])) == (1, 1, 1)
    for (path, old), (_, new) in zip(
        parameters.leaves(broken.params), parameters.leaves(after.params), strict=True
    ):
        # The projection goes on with the schedule; nothing else moves.
        kept = np.asarray(new) != 0
        np.testing.assert_array_equal(
            np.asarray(new)[kept], np.asarray(old)[kept], path
        )
    jax.tree.map(np.testing.assert_array_equal, broken.optimiser, after.optimiser)
    mended = dataclasses.replace(after, params=state.params)
    again, _ = step_of(RUN)(mended, batch(2))
    assert (int(again.bad), int(again.skipped)) == (0, 1)


def test_accumulation_is_the_whole_batch() -> None:
    parts = dataclasses.replace(RUN, train=dataclasses.replace(RUN.train, accumulate=4))
    params = fresh().params
    whole, split = (
        jax.jit(functools.partial(step.loss_and_gradient, run))(params, batch(0))
        for run in (RUN, parts)
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-7),
        whole,
        split,
    )


def test_decay_shrinks_matrices_only() -> None:
    params = jax.tree.map(jnp.ones_like, fresh().params)
    found = dict(parameters.leaves(step.decayed(RUN, params, jnp.float32(0.5))))
    for parameter in parameters.table(RUN.model):
        wanted = 0.95 if parameter.kind == "matrix" else 1.0
        np.testing.assert_allclose(found[parameter.path], wanted, rtol=1e-6)


def test_gradient_scale() -> None:
    gradient = {"a": jnp.array([3.0, 4.0]), "b": jnp.zeros((2,))}
    assert float(optimiser.gradient_rms(gradient)) == 2.5
    for make, small, large in (
        (optimiser.normalise, 1.0, 1.0),
        (optimiser.clip, 0.5, 1.0),
    ):
        for size, wanted in ((0.5, small), (2.5, large)):
            scaled = jax.tree.map(lambda g, s=size: g * s / 2.5, gradient)
            out, _ = make().update(scaled, make().init(scaled))
            np.testing.assert_allclose(optimiser.gradient_rms(out), wanted, rtol=1e-4)


@pytest.mark.slow
def test_a_table_that_is_not_learned_stays() -> None:
    run = dataclasses.replace(
        RUN, model=dataclasses.replace(RUN.model, bigram_learned=False)
    )
    state, _ = step_of(run)(fresh(run), batch(0))
    np.testing.assert_array_equal(
        state.params["bigram"]["table"], fresh(run).params["bigram"]["table"]
    )
    moved, _ = step_of(RUN)(fresh(), batch(0))
    assert (moved.params["bigram"]["table"] != fresh().params["bigram"]["table"]).any()


@pytest.mark.parametrize(("data", "fsdp"), MESHES)
def test_one_step_is_the_same_on_eight_devices(data: int, fsdp: int) -> None:
    state, _ = step_of(RUN)(fresh(), batch(0))
    lone, lone_metrics = step_of(RUN)(state, batch(1))
    devices = mesh.make(MeshConfig(data, fsdp), RUN.train.batch)
    shardings = mesh.tree_shardings(devices, RUN.model, state)
    with jax.set_mesh(devices):
        spread = jax.device_put(state, shardings)
        rows = jax.device_put(batch(1), mesh.batch_sharding(devices))
        one = jax.jit(
            functools.partial(step.train_step, RUN), out_shardings=(shardings, None)
        )
        after, metrics = one(spread, rows)
    np.testing.assert_allclose(metrics["loss"], lone_metrics["loss"], rtol=1e-6)
    for (path, one), (_, other) in zip(
        parameters.leaves(lone.params), parameters.leaves(after.params), strict=True
    ):
        np.testing.assert_allclose(other, one, atol=1e-6, err_msg=str(path))
    cut = after.params["blocks"]["fc"]["w"].sharding.shard_shape((2, 16, 32))
    assert cut == (2, 16, 32 // fsdp)


@pytest.mark.parametrize(("data", "fsdp"), MESHES)
def test_project_alone_on_eight_devices(data: int, fsdp: int) -> None:
    """Bit-equal, and nothing but counts is exchanged; on a model of some size."""
    run = dataclasses.replace(
        RUN,
        model=dataclasses.replace(RUN.model, d_model=128, d_mlp=512, n_head=16),
    )
    params = model.init(run.model, jax.random.key(1))
    devices = mesh.make(MeshConfig(data, fsdp), run.train.batch)
    shardings = mesh.tree_shardings(devices, run.model, params)
    spread = jax.device_put(params, shardings)
    project = functools.partial(projection.project, run)
    compiled = (
        jax.jit(project, out_shardings=shardings)
        .lower(spread, jnp.float32(0.4))
        .compile()
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(
            np.asarray(a).view("u4"), np.asarray(b).view("u4")
        ),
        compiled(spread, jnp.float32(0.4)),
        jax.jit(project)(params, jnp.float32(0.4)),
    )
    largest = max((size for _, size in collectives(compiled)), default=0)
    assert largest <= 64 * 1024
    assert (fsdp > 1) == (largest > 0)


def test_meshes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(Refusal, match=r"3 x 2 does not fit 8 devices"):
        mesh.make(MeshConfig(3, 2), 8)
    with pytest.raises(Refusal, match="12 sequences at a time do not divide over 8"):
        mesh.make(MeshConfig(None, 1), 12)
    assert mesh.make(MeshConfig(None, 4), 8).shape == {"data": 2, "fsdp": 4}


class Recorder:
    """Outlets that remember."""

    def __init__(self, stop_after: int | None = None):
        self.rows: list[Row] = []
        self.saved: list[int] = []
        self.progress: list[Progress] = []
        self.batches: list[int] = []
        self.stop_after = stop_after

    def rows_at(self, step: int) -> jax.Array:
        self.batches.append(step)
        return batch(step)

    def save(self, state: step.State) -> None:
        self.saved.append(int(state.step))

    def evaluate(self, params: Any) -> Row:
        found = step.eval_step(RUN, params, batch(99))
        return {name: float(value) for name, value in found.items()}

    def outlets(self) -> loop.Outlets:
        return loop.Outlets(
            rows_at=self.rows_at,
            evaluate=self.evaluate,
            save=self.save,
            log=self.rows.append,
            report=self.progress.append,
            stop=lambda step: step == self.stop_after,
        )


def deterministic(rows: list[Row]) -> list[Row]:
    return metrics_log.untimed(rows)


def test_the_loop_logs_evaluates_and_saves() -> None:
    seen = Recorder()
    state = loop.fit(RUN, fresh(), seen.outlets())
    assert int(state.step) == 20
    assert seen.batches == list(range(20))
    assert seen.saved == [5, 10, 15, 20]
    assert [r["step"] for r in seen.rows if "loss" in r] == list(range(2, 21, 2))
    assert [r["step"] for r in seen.rows if "validation_loss" in r] == [5, 10, 15, 20]
    assert [p.done for p in seen.progress] == list(range(1, 21))
    assert "tokens/s" in seen.progress[-1].figures
    last = seen.rows[-1]["validation_loss"]
    assert seen.progress[-1].figures["validation"] == f"{last:.3f}"


def test_stopped_and_resumed_is_the_same_run() -> None:
    whole, first, second = Recorder(), Recorder(stop_after=7), Recorder()
    wanted = loop.fit(RUN, fresh(), whole.outlets())
    halfway = loop.fit(RUN, fresh(), first.outlets())
    assert int(halfway.bad) == 0
    assert int(halfway.step) == 7
    assert first.saved == [5, 7]
    state = loop.fit(RUN, halfway, second.outlets())
    jax.tree.map(np.testing.assert_array_equal, wanted, state)
    assert deterministic(first.rows + second.rows) == deterministic(whole.rows)


def test_too_many_bad_steps_in_a_row_stop_the_run() -> None:
    run = dataclasses.replace(
        RUN,
        train=dataclasses.replace(RUN.train, bad_steps=3),
        optim=dataclasses.replace(RUN.optim, lr=1e30),
    )
    seen = Recorder()
    with pytest.raises(loop.Diverged, match=r"3 steps in a row .*batches \d+ to \d+"):
        loop.fit(run, fresh(run), seen.outlets())
    assert len(seen.rows[-1]["bad_batches"]) == 3
