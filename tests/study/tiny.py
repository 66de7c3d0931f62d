"""A study of four cells that takes seconds, as the text of its experiment file."""

from pathlib import Path

TASK = "single_double_quote"
TEXT = """
import dataclasses
from sparsetx.circuits.search.cutting import Request
from sparsetx.circuits.search.pools import Sizes
from sparsetx.circuits.search.pruning import Aim, Effort
from sparsetx.study import Study
from tests import runs

def config():
    base = runs.config({data!r})
    model = dataclasses.replace(base.model, context=48)  # room for the prompts
    data = dataclasses.replace(base.data, tokens=80_000)
    return dataclasses.replace(base, model=model, data=data)

def study():
    return Study(
        config(),
        {{
            "width": {{"16": [], "24": ["model.d_model=24", "model.d_mlp=48"]}},
            "density": {{"1-4": []}},
            "seed": {{"0": [], "1": ["seed=1"]}},
        }},
        tasks=["single_double_quote"],
        kinds=("plain",),
        search=Request(
            Aim(target=0.68, effort=Effort(((1, 25),), 4, 1)),
            Sizes(16, 8, 8, 48),
            effective=False,
        ),
        shuffled=["width=16,seed=0"],
    )
"""
CELLS = [f"width={w},density=1-4,seed={s}" for w in (16, 24) for s in (0, 1)]


def file(folder: Path, data: Path) -> Path:
    path = folder / "tiny.py"
    path.write_text(TEXT.format(data=str(data)))
    return path
