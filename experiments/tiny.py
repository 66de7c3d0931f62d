"""The smallest model that shows the whole method: about a minute on two cores.

For tests and first looks, not for results: 2 layers of 64 channels, trained on the
embedded corpus to 1/8 of its weights.

    sparsetx config experiments/tiny.py
"""

from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)


def config() -> RunConfig:
    return RunConfig(
        model=ModelConfig(
            vocab_size=512,
            context=64,
            n_layer=2,
            d_model=64,
            n_head=4,
            d_head=16,
            d_mlp=256,
            bigram="counts",
        ),
        sparsity=SparsityConfig(block=1 / 8, embed=1 / 4),
        optim=OptimConfig(lr=1e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=1_000_000),
        train=TrainConfig(steps=300, batch=32, eval_every=100, save_every=100),
    )
