"""20 steps through the anneal, beside the same steps in plain torch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import openai_format, projection, train
from sparsetx.config import OptimConfig, RunConfig, SparsityConfig, TrainConfig
from tests.torch.cases import released_config
from tests.torch.training import Recipe, Trainer, differences
from tests.torch.twin import random_state

STEPS, BATCH, CONTEXT = 20, 4, 12
BOUND = 1e-5

# Sinks, so that no key bias has a gradient of exactly zero: Adam with a small eps would
# turn its rounding noise into steps.
RELEASED = released_config(
    n_layer=2,
    block_size=CONTEXT,
    sink=True,
    enable_bigram_table=True,
    learnable_bigram_table=True,
    afrac=0.5,
)

PAPER = Recipe(STEPS, 1.28e-2, 0.1, 0.1, block=1 / 4, embed=1 / 2, alive=2)
RECIPES = {
    "the script's defaults": PAPER,
    "small-model settings": Recipe(
        STEPS, 1e-2, 1e-8, 0.01, block=1 / 4, embed=1 / 2, alive=2
    ),
    "clipped, exponential, abrupt": Recipe(
        STEPS, 1e-2, 0.1, 0.1, 1 / 4, 1 / 2, 2, True, "exponential", 0.8, abrupt=True
    ),
    "power law, sparse biases, no sharkfin": Recipe(
        STEPS, 1e-2, 0.1, 0.1, 1 / 4, 1 / 2, 0, False, "power", 0.5, False, True, False
    ),
    "dense": Recipe(STEPS, 1e-2, 0.1, 0.1, block=1.0, embed=1.0, alive=0),
}


def our_run(model, recipe: Recipe) -> RunConfig:
    return RunConfig(
        model=model,
        sparsity=SparsityConfig(
            block=recipe.block,
            embed=recipe.embed,
            alive=recipe.alive,
            biases=recipe.sparse_biases,
            anneal=recipe.anneal,
            anneal_end=recipe.anneal_end,
            embed_schedule="abrupt" if recipe.abrupt else "gradual",
        ),
        optim=OptimConfig(
            lr=recipe.lr,
            eps=recipe.eps,
            weight_decay=recipe.weight_decay,
            gradient="clip" if recipe.clip else "normalise",
            sharkfin=recipe.sharkfin,
        ),
        train=TrainConfig(steps=STEPS, batch=BATCH),
    )


@pytest.mark.parametrize("name", RECIPES)
def test_twenty_steps(name: str) -> None:
    recipe, released = RECIPES[name], RELEASED
    rng = np.random.default_rng(3)
    state = random_state(released, 3)
    state["transformer.wpe.weight"][:] = 0
    state.pop("final_logits_bias", None)
    model, params = openai_format.from_state(released, state)
    run = our_run(model, recipe)
    ours = train.init_state(run, jax.tree.map(jnp.asarray, params))
    step = jax.jit(functools.partial(train.train_step, run))
    theirs = Trainer(released, state, recipe)
    worst = 0.0
    for _ in range(STEPS):
        rows = rng.integers(0, released["vocab_size"], (BATCH, CONTEXT + 1))
        ours, metrics = step(ours, jnp.asarray(rows))
        loss = theirs.step(rows)
        assert abs(float(metrics["loss"]) - loss) < BOUND
        _, found = openai_format.to_state(model, ours.params)
        wanted = {n: theirs.w[n] for n in theirs.names}
        far, where = max(differences(found, wanted))
        worst = max(worst, far)
        assert far < BOUND, f"{where} after {theirs.done} steps: {far:.2e}"
    print(f"{name}: max |difference| over {STEPS} steps {worst:.1e}")
    for budget in projection.budgets(run):
        w = np.asarray(
            dict(train.parameters.leaves(ours.params))[budget.parameter.path]
        )
        layers = w if budget.parameter.stacked else w[None]
        assert [np.count_nonzero(x) for x in layers] == [budget.final] * len(layers)
