"""The dense twin of demo.py with AbsTopK: how much of a small circuit do sparse
activations alone explain?

All weights of demo_dense.py, and of every site only a quarter of the channels. It
learns a little more slowly, so its schedule is a little longer. About 3 minutes on two
cores; its circuits belong beside those of `make demo`:

    sparsetx train experiments/demo_topk.py
    sparsetx prune runs/demo_topk --tasks single_double_quote
    sparsetx report runs/demo runs/demo_dense runs/demo_topk -o comparison.html
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
            n_layer=2,
            d_model=128,
            n_head=8,
            d_head=16,
            d_mlp=512,
            sink=True,
            bigram="counts",
            positions="added",
        ),
        sparsity=SparsityConfig(block=1.0, embed=1.0),
        optim=OptimConfig(lr=4e-3, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=4_000_000),
        train=TrainConfig(steps=900, batch=20, eval_every=300, save_every=300),
    )
