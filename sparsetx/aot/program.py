"""The programs of a run, compiled for devices that are not there.

Built by the very functions that train, evaluate and prune: the same jit, shardings and
donation; only the arrays are shapes.
"""

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from sparsetx import fit, launch, mesh, model, nodes, parameters, projection
from sparsetx.aot import count, memory
from sparsetx.aot.count import Tally
from sparsetx.aot.memory import Memory
from sparsetx.circuits import ablate, lanes, prune, search
from sparsetx.circuits.pools import Sizes
from sparsetx.circuits.question import Question
from sparsetx.circuits.search import Lanes, Settings, Task
from sparsetx.config import RunConfig

PROMPT = 64  # tokens of the prompts that masks are trained on, if nothing else is said


@dataclass(frozen=True)
class Compiled:
    """What the compiler made of a program, for one device of `devices`."""

    name: str
    devices: int
    memory: Memory
    tally: Tally
    seconds: float  # that compiling took
    tokens: int  # of one call, on all devices
    note: str = ""


def compiled(
    name: str, lowered: Any, devices: int, tokens: int, note: str = ""
) -> Compiled:
    """The real compiler's work, or a memory.TooLarge if it does not fit."""
    began = time.monotonic()
    with memory.explained(name):
        made = lowered.compile()
    spent = time.monotonic() - began
    found = count.tally(made.as_text(), devices)
    return Compiled(name, devices, memory.of(made), found, spent, tokens, note)


def training(config: RunConfig, devices: Mesh) -> Compiled:
    """The step that `fit` runs: it takes the state's buffers."""
    state, rows = launch.state_shapes(config, devices), _rows(config, devices)
    with jax.set_mesh(devices):
        lowered = fit.step_function(config).lower(state, rows)  # type: ignore[attr-defined]
    tokens = config.train.batch * config.model.context
    return compiled("train", lowered, devices.size, tokens)


def evaluation(config: RunConfig, devices: Mesh) -> Compiled:
    """A batch of the validation split."""
    params = launch.state_shapes(config, devices).params
    with jax.set_mesh(devices):
        one = launch.eval_function(config)
        lowered = one.lower(params, _rows(config, devices))  # type: ignore[attr-defined]
    tokens = config.train.batch * config.model.context
    return compiled("eval", lowered, devices.size, tokens)


def projecting(
    config: RunConfig, devices: Mesh, params: Any = None, name: str = "project"
) -> Compiled:
    """The projection alone; `params` may lie otherwise than in training."""
    if params is None:
        params = launch.state_shapes(config, devices).params
    step = jax.jit(functools.partial(projection.project, config), donate_argnums=0)
    lowered = step.lower(params, jax.ShapeDtypeStruct((), jnp.float32))
    return compiled(name, lowered, devices.size, 0)


def cut_along(config: RunConfig, devices: Mesh, axis: int) -> Any:
    """Shapes of parameters whose matrices are cut over all devices along one axis of a
    layer's matrix, whichever the training would choose."""
    found = dict(parameters.leaves(launch.state_shapes(config, devices).params))
    everything: dict[parameters.Path, Any] = {}
    for parameter in parameters.table(config.model):
        shape = found[parameter.path]
        where = mesh.replicated(devices)
        if parameter.kind == "matrix":
            where = mesh.cut_whole(devices, len(shape.shape), axis + parameter.stacked)
        everything[parameter.path] = mesh.with_sharding(shape, where)
    return parameters.replaced(launch.state_shapes(config, devices).params, everything)


def pruning(
    config: RunConfig,
    devices: Sequence[jax.Device],
    room: float,
    length: int | None = None,
) -> Compiled:
    """One call of the search for circuits on a host's devices: every lane a mask of a
    task of its own. `room` is the memory of one device, half of which is for lanes."""
    run, effort = config.model, prune.Effort()
    length = min(length or PROMPT, run.context)
    plan = search.Plan(run, effort.pairs, prune.CALL)
    free = room / 2 * len(devices)
    deck = lanes.deck(plan, length, free, effort.settings, devices)
    params = jax.eval_shape(functools.partial(model.init, run), jax.random.key(0), _table(config))
    means = {
        site: jax.ShapeDtypeStruct(shape, jnp.float32)
        for site, shape in nodes.shapes(run, plan.sites).items()
    }
    own = Lanes(*_each(deck.lanes, jnp.int32, jnp.int32), _settings(deck.lanes))
    mask = jax.eval_shape(functools.partial(search.begin, plan), own)
    times = _each(deck.lanes, jnp.int32, jnp.float32)
    tasks = _tasks(config, params, length)
    lowered = lanes.program(deck).lower(params, means, tasks, own, mask, *times)
    tokens = deck.lanes * plan.steps * 2 * plan.pairs * length
    note = f"{deck.per_device} lanes a device, {plan.steps} steps of {2 * plan.pairs} x {length} tokens"
    return compiled("prune", lowered, len(devices), tokens, note)


def _table(config: RunConfig) -> Any:
    wide = config.model.vocab_size
    counted = config.model.bigram == "counts"
    return jax.ShapeDtypeStruct((wide, wide), jnp.float32) if counted else None


def _tasks(config: RunConfig, params: Any, length: int) -> Task:
    """One task's train pool, as `prune` stacks it."""
    rows = 2 * Sizes().train

    def asked(tokens_BL: Any) -> Task:
        row_B = jnp.zeros(rows, jnp.int32)
        answers_B2 = jnp.zeros((rows, 2), jnp.int32)
        found = Question(tokens_BL, row_B, answers_B2, jnp.ones(rows), jnp.float32(0))
        return Task(found, {})

    def whole(params: Any, tokens_BL: Any) -> Task:
        found = asked(tokens_BL).asked
        task = Task(found, ablate.norm_scales(config.model, params, found))
        return jax.tree.map(lambda x: x[None], task)

    tokens = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    found: Task = jax.eval_shape(whole, params, tokens)
    return found


def _settings(count: int) -> Settings:
    found: Settings = jax.tree.map(
        lambda x: jax.ShapeDtypeStruct((count,), jnp.float32), Settings()
    )
    return found


def _each(count: int, *kinds: Any) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct((count,), kind) for kind in kinds]


def _rows(config: RunConfig, devices: Mesh) -> jax.ShapeDtypeStruct:
    shape = (config.train.batch, config.model.context + 1)
    where: NamedSharding = mesh.batch_sharding(devices)
    return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=where)
