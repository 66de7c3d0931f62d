"""What `make rehearse` asks of the runs that it has made, from Python.

python -m tests.tpu.rehearsal compare ONE TWO STEP
python -m tests.tpu.rehearsal analyst RUN
"""

import logging
import sys

import jax
import numpy as np

import sparsetx
from sparsetx.circuits import circuit as circuits
from sparsetx.run import checkpoints, metrics_log
from sparsetx.system import files
from sparsetx.system.errors import Refusal

STEP = 1e-6  # largest difference of any parameter, one step after the same checkpoint
CURVE = 1e-3  # and of any row's loss after that, in nats
ROWS = 50


def compare(one: str, two: str, step: int) -> tuple[float, float]:
    """Two runs that went on from the same step: how far one step and fifty lead them
    apart."""
    params = [checkpoints.read_params(files.place(run), step + 1) for run in (one, two)]
    away = jax.tree.map(lambda a, b: float(np.max(np.abs(a - b))), *params)
    curves = [losses(run, step) for run in (one, two)]
    if set(curves[0]) != set(curves[1]) or len(curves[0]) != ROWS:
        raise Refusal(f"wanted {ROWS} rows of both runs, got {[*map(len, curves)]}")
    apart = [abs(curves[0][s] - curves[1][s]) for s in curves[0]]
    return max(jax.tree.leaves(away)), max(apart)


def losses(run: str, after: int) -> dict[int, float]:
    rows = metrics_log.read(files.place(run) / "metrics.jsonl")
    return {r["step"]: r["loss"] for r in rows if r["step"] > after and "loss" in r}


def analyst(path: str) -> str:
    """What a notebook on one device sees of the run and of its circuits."""
    run = sparsetx.load_run(path)
    tokens = [run.tokenizer.encode("for i in ")]
    assert np.all(np.isfinite(run.logits(tokens)))
    found = []
    for folder in sorted((files.place(path) / "circuits").iterdir()):
        if not (folder / "circuit.json").exists():
            continue
        status = circuits.load_facts(folder).status
        if status == circuits.REACHED:
            circuit = sparsetx.load_circuit(folder)
            assert np.all(np.isfinite(circuit.logits(tokens)))
            status = f"{len(circuit.nodes)} nodes, {len(circuit.edges)} edges"
        found.append(f"{folder.name}: {status}")
    assert found, "there are no circuits"
    return f"step {run.step} on {jax.device_count()} device; " + "; ".join(found)


def main(words: list[str]) -> int:
    logging.getLogger("absl").setLevel(logging.ERROR)
    if words[0] == "analyst":
        print(analyst(words[1]))
        return 0
    step, curve = compare(words[1], words[2], int(words[3]))
    print(f"{step:.1e} {curve:.1e}")
    return 0 if step <= STEP and curve <= CURVE else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
