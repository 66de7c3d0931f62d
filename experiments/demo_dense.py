"""The dense twin of demo.py: the same depth and width, no zeros and no AbsTopK.

It learns faster, so its own full schedule is shorter: long enough for the validation
loss to be that of the sparse model, within 0.05 nats, since circuits are compared at
equal pretraining loss. About 2 minutes on two cores.

    sparsetx train experiments/demo_dense.py
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
            context=64,
            n_layer=2,
            d_model=128,
            n_head=8,
            d_head=16,
            d_mlp=512,
            afrac=None,
            sink=True,
            bigram="counts",
            positions="added",
        ),
        sparsity=SparsityConfig(block=1.0, embed=1.0),
        optim=OptimConfig(lr=4e-3, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=3_000_000),
        train=TrainConfig(steps=1000, batch=15, eval_every=250, save_every=250),
    )
