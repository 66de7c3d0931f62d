"""Compile the programs of a run for a TPU slice that is not attached.

The functions are those that train, evaluate and prune, with the same jit, shardings and
donation; only the arrays are replaced by shapes.
"""

import dataclasses
import functools
import math
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from sparsetx import nodes, projection
from sparsetx.aot import cache, memory, operation_counts, topology
from sparsetx.aot.memory import Memory
from sparsetx.aot.operation_counts import Tally
from sparsetx.aot.topology import Slice
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import lanes, mask_search
from sparsetx.circuits.search.mask_search import Lanes, Settings
from sparsetx.circuits.search.pools import Sizes
from sparsetx.circuits.search.pruning import CALL, Effort
from sparsetx.config import MeshConfig, RunConfig
from sparsetx.model import mesh, parameters
from sparsetx.training import launch, loop

PROMPT = 64  # tokens of the prompts for masks, by default


@dataclass(frozen=True)
class Compiled:
    """A compiled program: figures for one of `devices` devices."""

    name: str
    devices: int
    memory: Memory
    tally: Tally
    seconds: float  # that compiling took, now or when it was cached
    tokens: int  # of one call, on all devices
    given: float  # bytes of donated arguments on one device
    note: str = ""


@dataclass(frozen=True)
class Target:
    """A slice's devices, arranged as the mesh of a configuration."""

    here: Slice
    config: RunConfig
    devices: Mesh

    @property
    def platform(self) -> str:
        return mesh.platform_of(self.devices)

    def compiled(
        self, name: str, lowered: Any, tokens: int, given: Any = (), note: str = ""
    ) -> Compiled:
        """Compile a program; raises memory.TooLarge if it does not fit."""

        def make() -> cache.Made:
            began = time.monotonic()
            with memory.explained(name):
                found = lowered.compile()
            spent = time.monotonic() - began
            return cache.Made(found.as_text(), memory.of(found), spent)

        made = cache.made(cache.key(lowered, self.here.jax), make)
        # The compiler checks temporary memory only, not the arguments as well.
        if made.memory.peak > self.here.available:
            raise memory.TooLarge(name, made.memory.peak, self.here.available)
        count_of = self.devices.size
        own = on_a_device(given)
        tally = operation_counts.tally(made.text, count_of)
        return Compiled(
            name, count_of, made.memory, tally, made.seconds, tokens, own, note
        )


def target(config: RunConfig, here: Slice) -> Target:
    parts = config.train.batch // config.train.accumulate
    found = mesh.make(config.mesh, parts, topology.devices(here))
    return Target(here, _as_a_loop(config), found)


def _as_a_loop(config: RunConfig) -> RunConfig:
    """Layers as on a TPU: this process runs on a CPU, where they are unrolled."""
    model = dataclasses.replace(config.model, unroll=False)
    return dataclasses.replace(config, model=model)


def on_a_device(tree: Any) -> float:
    """Bytes of these arrays on one of their devices."""
    return sum(
        float(math.prod(leaf.sharding.shard_shape(leaf.shape)) * leaf.dtype.itemsize)
        for leaf in jax.tree.leaves(tree)
    )


def training(on: Target) -> Compiled:
    """The training step of `loop.fit`; it donates the state's buffers."""
    state = launch.state_shapes(on.config, on.devices)
    step: Any = loop.step_function(on.config, on.platform)
    with jax.set_mesh(on.devices):
        lowered = step.lower(state, _rows(on))
    return on.compiled("train", lowered, _tokens(on), state)


def attached(config: RunConfig, devices: Mesh) -> Tally:
    """The training step as it is compiled for devices that are there, counted. The
    loop's first step then finds it compiled."""
    state = launch.state_shapes(config, devices)
    step: Any = loop.step_function(config)
    with jax.set_mesh(devices):
        compiled = step.lower(state, _batch(config, devices)).compile()
    return operation_counts.tally(compiled.as_text(), devices.size)


def evaluation(on: Target) -> Compiled:
    """A batch of the validation split."""
    params = launch.state_shapes(on.config, on.devices).params
    one: Any = launch.eval_function(on.config, on.platform)
    with jax.set_mesh(on.devices):
        lowered = one.lower(params, _rows(on))
    return on.compiled("eval", lowered, _tokens(on))


def projecting(on: Target, axis: int | None = None) -> Compiled:
    """The projection alone, with the parameters sharded as in training; or with every
    layer's matrix sharded along `axis` over all devices."""
    params = launch.state_shapes(on.config, on.devices).params
    name = "project"
    if axis is not None:
        params, name = _cut_along(on, params, axis), f"project, cut along {axis}"
    step = jax.jit(functools.partial(projection.project, on.config), donate_argnums=0)
    lowered = step.lower(params, jax.ShapeDtypeStruct((), jnp.float32))
    return on.compiled(name, lowered, 0, params)


def _cut_along(on: Target, params: Any, axis: int) -> Any:
    found = dict(parameters.leaves(params))
    placed: dict[parameters.Path, Any] = {}
    for parameter in parameters.table(on.config.model):
        if parameter.kind == "matrix":
            shape = found[parameter.path]
            place = axis + parameter.stacked
            where = mesh.cut_whole(on.devices, len(shape.shape), place)
            placed[parameter.path] = mesh.with_sharding(shape, where)
    return parameters.replaced(params, placed)


def prune(
    config: RunConfig,
    pod: Slice,
    length: int | None = None,
    pairs: int | None = None,
) -> Compiled:
    """One call of the circuit search on one host of a pod: each host searches with its
    own devices, one mask per lane. Half of the memory is for lanes, as in `prune`."""
    here = topology.host_of(pod)
    devices = topology.devices(here)
    run, effort = _as_a_loop(config).model, Effort()
    length = min(length or PROMPT, run.context)
    plan = mask_search.Plan(run, pairs or effort.pairs, CALL)
    room = here.available / 2 * len(devices)
    deck = lanes.deck(plan, length, room, effort.settings, devices)
    on = Target(here, config, mesh.make(MeshConfig(), len(devices), devices))
    params = launch.state_shapes(config, on.devices).params
    means = {
        site: jax.ShapeDtypeStruct(shape, jnp.float32)
        for site, shape in nodes.shapes(run, plan.sites).items()
    }
    own = jax.eval_shape(functools.partial(_lanes, deck.lanes))
    mask = jax.eval_shape(functools.partial(mask_search.begin, plan), own)
    times = _each(deck.lanes, jnp.int32, jnp.float32)
    tasks = _tasks(config, params, length)
    lowered = lanes.program(deck).lower(params, means, tasks, own, mask, *times)
    rows = 2 * plan.pairs
    tokens = deck.lanes * plan.steps * rows * length
    note = (
        f"{deck.per_device} lanes a chip of a host of {len(devices)}, {plan.steps} "
        f"steps of {rows} x {length} tokens"
    )
    return on.compiled("prune", lowered, tokens, note=note)


def _tasks(config: RunConfig, params: Any, length: int) -> Task:
    """One task's train pool, as `prune` stacks it."""
    rows = 2 * Sizes().train

    def whole(params: Any, tokens_BL: Any) -> Any:
        row_B, ones_B = jnp.zeros(rows, jnp.int32), jnp.ones(rows)
        answers_B2 = jnp.zeros((rows, 2), jnp.int32)
        asked = Question(tokens_BL, row_B, answers_B2, ones_B, jnp.float32(0))
        task = Task(asked, ablations.norm_scales(config.model, params, asked))
        return jax.tree.map(lambda x: x[None], task)

    tokens = jax.ShapeDtypeStruct((rows, length), jnp.int32)
    found: Task = jax.eval_shape(whole, params, tokens)
    return found


def _lanes(count: int) -> Lanes:
    which = jnp.zeros(count, jnp.int32)
    settings: Settings = jax.tree.map(lambda x: jnp.full(count, x), Settings())
    return Lanes(which, which, settings)


def _each(count: int, *kinds: Any) -> list[jax.ShapeDtypeStruct]:
    return [jax.ShapeDtypeStruct((count,), kind) for kind in kinds]


def _rows(on: Target) -> jax.ShapeDtypeStruct:
    return _batch(on.config, on.devices)


def _batch(config: RunConfig, devices: Mesh) -> jax.ShapeDtypeStruct:
    shape = (config.train.batch, config.model.context + 1)
    where = mesh.batch_sharding(devices)
    return jax.ShapeDtypeStruct(shape, jnp.int32, sharding=where)


def _tokens(on: Target) -> int:
    return on.config.train.batch * on.config.model.context
