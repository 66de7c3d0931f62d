"""Training masks, many settings at once, against one after another and PyTorch.

A model of the demo's size, prompts of noise: what they say takes no longer or shorter
to compute. Our masks are trained under the ablations of an honest search, with the
penalty on edges; PyTorch's under mean ablation with a penalty on nodes, which is less
work. `prune` is what that command runs here: one device per core.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sparsetx import model, nodes
from sparsetx.bench import opponent, training
from sparsetx.bench.timing import USUAL, Asked, Row, race
from sparsetx.circuits.measure import ablations
from sparsetx.circuits.measure.questions import Question, Task
from sparsetx.circuits.search import lanes
from sparsetx.circuits.search.mask_search import Plan, Settings
from sparsetx.config import ModelConfig

LANES, STEPS, PAIRS, LENGTH, POOL = 32, 4, 8, 48, 64
TASKS, SETTINGS = 20, 8
TORCH = "PyTorch, one by one"
SHARED = (  # settings of the paper's procedure
    "k_coef", "lr", "init_bias", "init_scale", "temperature", "weight_decay", "beta2",
)  # fmt: skip


def run(asked: Asked = USUAL) -> Iterator[Row]:
    config = training.base().model
    params = model.init(config, jax.random.key(0))
    means = {s: jnp.zeros(n) for s, n in nodes.shapes(config).items()}
    given = (params, means, tasks(config, params))
    plan = Plan(config, PAIRS, STEPS)
    yield from side_by_side(plan, given, asked)
    deck = lanes.deck(plan, LENGTH, lanes.memory_here(), SETTINGS)
    whole = functools.partial(_search, deck, given, range(TASKS * SETTINGS))
    name = f"{TASKS} tasks x {SETTINGS} settings, as prune runs them"
    title = f"{TASKS * SETTINGS * STEPS} mask steps"
    if not asked.quick:
        yield from race(title, {name: whole}, asked.turns(3), report=asked.report)


def side_by_side(plan: Plan, given: Any, asked: Asked) -> list[Row]:
    """The same number of masks, each way."""
    config, devices = plan.config, tuple(jax.local_devices())
    decks = {
        "as prune runs them": lanes.deck(plan, LENGTH, lanes.memory_here(), LANES),
        "one by one": lanes.Deck(plan, 1, devices[:1]),
        "all in one vmap": lanes.Deck(plan, LANES, devices[:1]),
    }
    ours: dict[str, Callable[[], Any]] = {
        name: functools.partial(_search, deck, given, range(LANES))
        for name, deck in decks.items()
    }
    unit = LANES * STEPS
    title = f"{unit} mask steps of {LANES} settings, {2 * PAIRS} x {LENGTH} tokens"
    with opponent.opponents({TORCH: ("masks", as_settings(config))}) as others:
        turns = asked.turns(5)
        rows = race(title, ours | others, turns, report=asked.report)
        memory = {name: one.memory for name, one in others.items()}
    return [
        dataclasses.replace(
            row,
            note=f"{1000 * row.seconds / unit:.2f} ms per mask step",
            memory=memory.get(row.name, 0.0),
        )
        if row.seconds
        else row
        for row in rows
    ]


def as_settings(config: ModelConfig) -> Mapping[str, Any]:
    """The same search in the words of the opponent."""
    usual = dataclasses.asdict(Settings())
    return {
        "size": {**training.size_of(config), "context": LENGTH},
        "settings": {name: usual[name] for name in SHARED},
        "pool": POOL,
        "pairs": PAIRS,
        "steps": STEPS,
        "runs": LANES,
    }


def tasks(config: ModelConfig, params: Any) -> Task:
    """Prompts of noise for every task."""

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
