"""`import sparsetx` is instant, and its names and arguments are a contract."""

import inspect
import subprocess
import sys

import pytest

import sparsetx

CONTRACT = {
    "load_run": ["path"],
    "task_pairs": ["name", "tokenizer", "split", "n", "seed"],
    "topk.keep_largest": ["x", "k", "axis"],
    "projection.project_matrix": ["w", "k", "alive", "neuron_axis"],
    "model.apply": ["config", "params", "tokens_BL", "tap"],
    "model.trace": ["config", "params", "tokens_BL", "tap"],
    "openai_format.load": ["directory"],
    "openai_format.save": ["directory", "config", "params"],
}


def test_importing_and_listing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, sparsetx\n"
        "assert 'load_run' in dir(sparsetx) and sparsetx.__version__\n"
        "heavy = {'jax', 'numpy', 'flax', 'orbax', 'tensorflow', 'matplotlib'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", CONTRACT)
def test_its_names_take_what_was_promised(name: str) -> None:
    found = sparsetx
    for part in name.split("."):
        found = getattr(found, part)
    arguments = list(inspect.signature(found).parameters)
    wanted = CONTRACT[name]
    assert arguments[: len(wanted)] == wanted


def test_the_contract_is_all_there_is() -> None:
    assert {name.partition(".")[0] for name in CONTRACT} <= set(sparsetx.__all__)
