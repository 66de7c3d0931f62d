"""The paper's 8x model (its label: 475 M parameters; counted here: 411.2 M).

Figure: pretraining loss against circuit size, the line of this size (section 3.1). The
paper sweeps the learning rate; here lr is theirs at 4x over the root of the width.
The number of steps is ours: 13.1 G tokens.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_8x.py --run runs/paper_8x
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
            d_model=2048,
            n_head=128,
            d_head=16,
            d_mlp=8192,
            compute="bfloat16",
            remat=True,
        ),
        sparsity=SparsityConfig(base=1 / 4),
        optim=OptimConfig(lr=0.0091),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
