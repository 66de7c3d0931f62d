"""The sparse model of experiments/pretrained: 3 layers of 256 channels, 1/16 kept.

It does the tasks, and is small enough to be read and to be kept in the repository. The
corpus has more of what models of this size learn last (swaps, empty sets and texts,
modes of files): with tinypython alone those tasks starve.

    sparsetx train experiments/pretrained_sparse.py
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
            vocab_size=1024,
            context=96,
            n_layer=3,
            d_model=256,
            n_head=16,
            d_head=16,
            d_mlp=1024,
            sink=True,
            bigram="counts",
            positions="added",
        ),
        sparsity=SparsityConfig(block=1 / 16, embed=1 / 4),
        optim=OptimConfig(lr=1e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(name="tinypython-drills", tokens=16_000_000),
        train=TrainConfig(steps=6000, batch=24, eval_every=500, save_every=500),
    )
