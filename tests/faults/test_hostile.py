"""Ten thousand hostile files: each is refused with a message, or is harmless.

Never a traceback, never code that runs, never a file half written. What is fed are
seeded mutations of good input, through the functions that the commands call; the
commands turn a Refusal into its message and exit code 2 (tests/cli/test_main.py).
"""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsetx.circuits import circuit
from sparsetx.cli import experiment
from sparsetx.config import RunConfig
from sparsetx.data import prepare, token_files
from sparsetx.data.tokenizer import Tokenizer
from sparsetx.model import parameters
from sparsetx.openai_format import config
from sparsetx.run import checkpoints, load_config
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal, refuse_all
from sparsetx.tasks import task_file
from tests import runs
from tests.cli.test_prune import cut
from tests.faults import mutate
from tests.faults.case import case

Feed = Callable[[random.Random, Path], object]


def config_files() -> Feed:
    good = fields.to_json(runs.config(runs.data()))

    def feed(rng: random.Random, folder: Path) -> object:
        path = folder / "config.json"
        path.write_bytes(
            mutate.dumped(mutate.tree(good, rng), rng).encode(errors="replace")
        )
        return load_config(folder)

    return feed


def overrides() -> Feed:
    good = [
        "optim.lr=0.1", "train.steps=20", "model.afrac=none", "seed=1",
        "model.n_layer=3", "sparsity.block=0.5", "data.name=files", "mesh.fsdp=2",
        "model.afrac_sites=attn_in,q", "model.sink=true",
    ]  # fmt: skip
    base = fields.to_json(runs.config(runs.data()))

    def feed(rng: random.Random, folder: Path) -> object:
        path = folder / "good.json"
        path.write_text(json.dumps(base))
        asked = [mutate.text(rng.choice(good), rng) for _ in range(rng.randint(1, 3))]
        return experiment.load(str(path), asked)

    return feed


def task_files() -> Feed:
    tokenizer = Tokenizer.load(runs.data() / token_files.TOKENIZER)
    good = {
        "prompt_a": 'print("red dog',
        "answer_a": '")\n',
        "prompt_b": "print('red dog",
        "answer_b": "')\n",
    }

    def feed(rng: random.Random, folder: Path) -> object:
        lines = [json.dumps(good), mutate.dumped(mutate.tree(good, rng), rng)]
        path = folder / "task.jsonl"
        path.write_bytes("\n".join(lines).encode(errors="replace"))
        return task_file.file_pairs(path, tokenizer, "train", context=32)

    return feed


def circuit_facts() -> Feed:
    folder = runs.once("handmade", cut) / "run" / "circuits" / "quotes"
    good, arrays = json.loads((folder / "circuit.json").read_text()), folder
    data = (arrays / "circuit.npz").read_bytes()

    def feed(rng: random.Random, folder: Path) -> object:
        text = mutate.dumped(mutate.tree(good, rng), rng)
        (folder / "circuit.json").write_bytes(text.encode(errors="replace"))
        (folder / "circuit.npz").write_bytes(data)
        return circuit.load_circuit(folder)

    return feed


def circuit_arrays() -> Feed:
    whole = runs.once("handmade", cut) / "run" / "circuits" / "quotes"
    good = (whole / "circuit.npz").read_bytes()
    facts = (whole / "circuit.json").read_text()

    def feed(rng: random.Random, folder: Path) -> object:
        (folder / "circuit.json").write_text(facts)
        (folder / "circuit.npz").write_bytes(mutate.data(good, rng))
        return circuit.load_circuit(folder)

    return feed


def checkpoint_facts() -> Feed:
    good = {"step": 3, "config": {"a": 1}, "checksums": {"params/a": 7, "step": 1}}

    def feed(rng: random.Random, folder: Path) -> object:
        place = folder / "checkpoints" / "3" / "facts"
        place.mkdir(parents=True, exist_ok=True)
        text = mutate.dumped(mutate.tree(good, rng), rng)
        (place / "metadata").write_bytes(text.encode(errors="replace"))
        try:
            return checkpoints.read_facts(folder, 3)
        except checkpoints.Damaged as damage:
            raise Refusal(str(damage)) from damage

    return feed


def tokenizers() -> Feed:
    good = json.loads((runs.data() / token_files.TOKENIZER).read_text())
    good["model"]["merges"] = good["model"]["merges"][:40]
    good["model"]["vocab"] = dict(list(good["model"]["vocab"].items())[:300])

    def feed(rng: random.Random, folder: Path) -> object:
        text = mutate.dumped(mutate.tree(good, rng), rng)
        (folder / "tokenizer.json").write_bytes(text.encode(errors="replace"))
        return Tokenizer.load(folder / "tokenizer.json").encode("print(1)")

    return feed


def prepared_data() -> Feed:
    good = json.loads((runs.data() / token_files.META).read_text())
    shards = {p.name: p.read_bytes() for p in runs.data().glob("*.npy")}

    def feed(rng: random.Random, folder: Path) -> object:
        for name, data in shards.items():
            (folder / name).write_bytes(
                mutate.data(data, rng) if rng.random() < 0.3 else data
            )
        text = mutate.dumped(mutate.tree(good, rng), rng)
        (folder / token_files.META).write_bytes(text.encode(errors="replace"))
        found = token_files.open_prepared(folder, "sparsetx data prepare", 512)
        return [found.split(name) for name in token_files.SPLITS]

    return feed


def corpora() -> Feed:
    good = b'{"text": "x = 1\\nprint(x)"}\n' * 3

    def feed(rng: random.Random, folder: Path) -> object:
        kind = rng.choice(["py", "txt", "jsonl", "jsonl.gz"])
        path = folder / f"corpus.{kind}"
        path.write_bytes(mutate.data(good, rng))
        request = prepare.Request(
            "files", vocab=300, tokens=1000, out=str(folder / "out"),
            globs=(str(path),),
        )  # fmt: skip
        return list(prepare.docs.files(prepare.docs.matching(request.globs)))

    return feed


def released_configs() -> Feed:
    good = config.to_released(runs.config(runs.data()).model)

    def feed(rng: random.Random, folder: Path) -> object:
        path = folder / "beeg_config.json"
        text = mutate.dumped(mutate.tree(good, rng), rng)
        path.write_bytes(text.encode(errors="replace"))
        released = files.read_json(path, "a released configuration")
        if not isinstance(released, dict):
            raise Refusal("it is not an object")
        refuse_all("beeg_config.json", config.refused(released))
        model = config.to_model(released, "none", False)
        parameters.check_model(model)
        return model

    return feed


KINDS: dict[str, tuple[Callable[[], Feed], int]] = {
    "configurations": (config_files, 2500),
    "overrides": (overrides, 1500),
    "task files": (task_files, 1500),
    "circuit facts": (circuit_facts, 1000),
    "circuit arrays": (circuit_arrays, 700),
    "checkpoint facts": (checkpoint_facts, 800),
    "tokenizers": (tokenizers, 700),
    "prepared data": (prepared_data, 500),
    "corpora": (corpora, 500),
    "released configurations": (released_configs, 800),
}


def test_there_are_ten_thousand() -> None:
    assert sum(count for _, count in KINDS.values()) >= 10_000


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore")  # NumPy warns of some headers, then refuses them
def test_hostile_input_is_refused_or_harmless(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, count = KINDS[kind]
    runs.trained()
    feed = make()
    monkeypatch.chdir(tmp_path)
    inside = tmp_path / "in"
    inside.mkdir()
    refused = 0
    with case(f"{count:,} hostile {kind}") as row:
        for number in range(count):
            rng = random.Random(f"{kind} {number}")
            try:
                feed(rng, inside)
            except Refusal as refusal:
                refused += bool(str(refusal).strip())
            except Exception as error:
                raise AssertionError(f"{kind}, case {number}") from error
        left = [name for name in os.listdir(tmp_path) if name != "in"]
        assert left == []  # nothing was run, nothing written beside
        row.told = f"{refused:,} refused with a message, the rest harmless"
    assert refused > count / 4


def test_a_run_config_is_what_was_meant() -> None:
    """The generator's good inputs are good: what is refused is the mutation."""
    good = fields.to_json(runs.config(runs.data()))
    assert fields.from_json(RunConfig, good, "it") == runs.config(runs.data())
