"""The paper's 2x model (its label: 29.7 M parameters; counted here: 27.3 M).

Figure: pretraining loss against circuit size, the line of this size (section 3.1). The
paper sweeps the learning rate; here lr is theirs at 4x over the root of the width.
The number of steps is ours: 13.1 G tokens.

    sparsetx data prepare stdlib --vocab 2048
    sparsetx train experiments/paper_2x.py --run runs/paper_2x
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
            d_model=512,
            n_head=32,
            d_head=16,
            d_mlp=2048,
            compute="bfloat16",
            remat=False,
        ),
        sparsity=SparsityConfig(base=1 / 4),
        optim=OptimConfig(lr=0.0181),
        data=DataConfig(name="stdlib"),
        train=TrainConfig(steps=100_000, batch=512),
    )
