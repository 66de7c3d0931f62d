"""A real run, small enough to be trained by tests; made once in a session."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from sparsetx import nodes
from sparsetx.config import (
    DataConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    SparsityConfig,
    TrainConfig,
)
from sparsetx.system.signals import Stop
from sparsetx.training import launch

STEPS = 12


def config(data: Path) -> RunConfig:
    return RunConfig(
        model=ModelConfig(
            vocab_size=512,
            context=16,
            n_layer=2,
            d_model=16,
            n_head=2,
            d_head=8,
            d_mlp=32,
            bigram="counts",
            # every selection takes time to compile
            afrac_sites=(nodes.ATTN_IN, nodes.MLP_NEURON),
        ),
        sparsity=SparsityConfig(block=1 / 4, embed=1 / 2, alive=2),
        optim=OptimConfig(lr=1e-2, eps=1e-8, weight_decay=0.01),
        data=DataConfig(tokens=20_000, path=str(data)),
        train=TrainConfig(
            steps=STEPS,
            batch=8,
            log_every=2,
            eval_every=6,
            eval_batches=2,
            save_every=4,
        ),
    )


def experiment(folder: Path, data: Path) -> Path:
    """The same as a file that the command line takes."""
    from sparsetx.system import fields, files

    path = folder / "small.json"
    files.write_json(path, fields.to_json(config(data)))
    return path


def folder() -> Path:
    """One for all workers of a session; conftest.py made it."""
    return Path(os.environ["SPARSETX_TESTS"])


def data() -> Path:
    return folder() / "tinypython-512"


def once(name: str, make: Callable[[Path], None]) -> Path:
    """A folder that one of the workers makes, the first that asks for it; the others
    wait."""
    path, ready = folder() / name, folder() / f"{name}-ready"
    if ready.exists():
        return path
    try:
        (folder() / f"{name}-making").mkdir()
    except FileExistsError:
        return _awaited(path, ready)
    make(path)
    ready.touch()
    return path


def trained() -> Path:
    """The run, from its first step to its last."""

    def make(path: Path) -> None:
        with launch.opened(config(data()), path) as launched:
            launched.train(Stop())

    return once("run", make)


def _awaited(path: Path, ready: Path) -> Path:
    until = time.monotonic() + 120
    while not ready.exists():
        assert time.monotonic() < until, f"the other worker did not finish {path}"
        time.sleep(0.1)
    return path


def copied(folder: Path) -> Path:
    """A copy that a test may change."""
    path = folder / "run"
    shutil.copytree(trained(), path)
    return path
