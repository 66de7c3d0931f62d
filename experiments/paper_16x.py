"""The paper's 16x model (its label: 1.9 B parameters; counted here: 1 628 M).

Figure: pretraining loss against circuit size, the line of this size (section 3.1). The
paper sweeps the learning rate; here lr is theirs at 4x over the root of the width.
The number of steps is ours: 13.1 G tokens.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_16x.py --run runs/paper_16x
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
            d_model=4096,
            n_head=64,
            d_head=64,
            d_mlp=16384,
            compute="bfloat16",
            remat=True,
        ),
        sparsity=SparsityConfig(base=1 / 4),
        optim=OptimConfig(lr=0.0064),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
