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
            "width": {widths},
            "density": {{"1-4": []}},
            "seed": {seeds},
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
WIDTHS = {"16": [], "24": ["model.d_model=24", "model.d_mlp=48"]}
CELLS = [f"width={w},density=1-4,seed={s}" for w in (16, 24) for s in (0, 1)]
# Of one width, so that processes find all programs compiled.
FEW = [f"width=16,density=1-4,seed={s}" for s in (0, 1, 2)]


def file(folder: Path, data: Path, few: bool = False) -> Path:
    """Of all four cells, or of the few."""
    widths = {"16": WIDTHS["16"]} if few else WIDTHS
    seeds = {str(s): [f"seed={s}"] if s else [] for s in range(3 if few else 2)}
    path = folder / "tiny.py"
    path.write_text(TEXT.format(data=str(data), widths=widths, seeds=seeds))
    return path
