"""What running masks side by side costs and brings, for a model of the demo's size."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import model, nodes
from sparsetx.bench import training
from sparsetx.bench.timing import Row, race
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import lanes
from sparsetx.circuits.search.mask_search import Plan, Settings
from sparsetx.config import ModelConfig

LANES, STEPS, PAIRS, LENGTH, POOL = 32, 2, 8, 48, 64
TASKS, SETTINGS = 20, 8


def run(rounds: int = 3) -> list[Row]:
    config = training.base().model
    params = model.init(config, jax.random.key(0))
    means = {s: jnp.zeros(n) for s, n in nodes.shapes(config).items()}
    given = (params, means, tasks(config, params))
    plan = Plan(config, PAIRS, STEPS)
    devices = tuple(jax.local_devices())
    one, many = (
        functools.partial(_search, lanes.Deck(plan, per_device, devices[:1]), given)
        for per_device in (1, LANES)
    )
    loop = functools.partial(_loop, one, LANES)
    unit = LANES * STEPS
    shape = f"{config.n_layer} layers of {config.d_model} channels"
    group = (
        f"{unit} mask steps of {LANES} lanes, {2 * PAIRS} x {LENGTH} tokens, {shape}"
    )
    rows = race(group, {"a loop": loop, "at once": lambda: many(range(LANES))}, rounds)
    deck = lanes.deck(plan, LENGTH, lanes.memory_here(), SETTINGS)
    batch = functools.partial(_search, deck, given)
    name = f"{TASKS} tasks x {SETTINGS} settings, as `prune` runs them here"
    rows += race(
        f"{TASKS * SETTINGS * STEPS} mask steps",
        {name: lambda: batch(range(TASKS * SETTINGS))},
        1,
    )
    return rows


def tasks(config: ModelConfig, params: Any) -> Task:
    """Prompts of noise: what they say takes no longer or shorter to compute."""

    def one(seed: int) -> Task:
        rng = np.random.default_rng(seed)
        rows = 2 * POOL
        tokens = rng.integers(0, config.vocab_size, (rows, LENGTH))
        asked = Question(
            jnp.asarray(tokens, jnp.int32),
            jnp.full(rows, LENGTH - 1, jnp.int32),
            jnp.asarray(rng.integers(0, config.vocab_size, (rows, 2)), jnp.int32),
            jnp.ones(rows),
            jnp.float32(0),
        )
        return Task(asked, ablations.norm_scales(config, params, asked))

    found: Task = jax.tree.map(lambda *x: jnp.stack(x), *map(one, range(TASKS)))
    return found


def _search(deck: lanes.Deck, given: Any, which: range) -> Any:
    settings = Settings(honest=1.0)
    asked = [(i % TASKS, i, settings) for i in which]
    params, means, tasks = given
    tau, _ = lanes.run(deck, params, means, tasks, lanes.stacked(asked), STEPS)
    return tau[nodes.Q]


def _loop(one: Any, count: int) -> Any:
    return [one(range(i, i + 1)) for i in range(count)]
