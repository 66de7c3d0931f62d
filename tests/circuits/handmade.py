"""A run folder with the compiled model and a real tokenizer; its circuit is known."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from sparsetx.config import SparsityConfig
from sparsetx.data import batches
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.model import parameters
from sparsetx.run.checkpoints import PARAMS, Checkpoints
from sparsetx.system import fields, files
from sparsetx.system.progress import silent
from tests import runs
from tests.circuits import compiled

CONFIG = dataclasses.replace(compiled.CONFIG, vocab_size=512, context=32)
WORDS = ["red", "dog", "sun", "tree", "boat", "fish", "moon", "rain", "salt", "corn"]
TASK = "quotes"


def run(folder: Path) -> Path:
    """Write the run; returns its folder."""
    small = runs.config(runs.data())
    config = dataclasses.replace(
        small,
        model=CONFIG,
        train=dataclasses.replace(small.train, batch=4),
        sparsity=SparsityConfig(block=1.0, embed=1.0),
    )
    data = batches.open_data(config, silent)
    path = folder / "run"
    files.write_json(path / "config.json", fields.to_json(config))
    files.write_bytes(path / "tokenizer.json", data.tokenizer_path.read_bytes())
    checkpoints = Checkpoints(path)
    weights = params(Tokenizer.load(data.tokenizer_path))
    checkpoints.save(0, {PARAMS: weights}, {"made": "by hand"})
    checkpoints.close()
    return path


def params(tokenizer: Tokenizer) -> dict[str, Any]:
    """The compiled weights, its 14 tokens spread over the whole vocabulary."""
    tree = compiled.params()
    small = tree[parameters.EMBED][parameters.W]
    embed = np.zeros((CONFIG.vocab_size, CONFIG.d_model), np.float32)
    for token in range(CONFIG.vocab_size):
        embed[token] = small[compiled.WORDS[token % len(compiled.WORDS)]]
    embed[one(tokenizer, '("')] = small[compiled.DOUBLE]
    embed[one(tokenizer, "('")] = small[compiled.SINGLE]
    unembed = np.zeros((CONFIG.d_model, CONFIG.vocab_size), np.float32)
    answers = tree[parameters.UNEMBED][parameters.W]
    unembed[:, one(tokenizer, '")\n')] = answers[:, compiled.CLOSE_DOUBLE]
    unembed[:, one(tokenizer, "')\n")] = answers[:, compiled.CLOSE_SINGLE]
    tree[parameters.EMBED][parameters.W] = embed
    tree[parameters.UNEMBED][parameters.W] = unembed
    return tree


def one(tokenizer: Tokenizer, text: str) -> int:
    (token,) = tokenizer.encode(text)
    return token


def task_file(folder: Path, count: int = 90) -> Path:
    """A task file: pairs of prompts that differ in the kind of quote."""
    lines = []
    for i in range(count):
        first, second = WORDS[i % 10], WORDS[i // 10 % 10]
        start = "print" if i % 2 else "x = print"
        lines.append(
            {
                "prompt_a": f'{start}("{first} {second}',
                "answer_a": '")\n',
                "prompt_b": f"{start}('{first} {second}",
                "answer_b": "')\n",
            }
        )
    path = folder / f"{TASK}.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path
