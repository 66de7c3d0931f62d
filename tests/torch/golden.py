"""Write tests/golden/twin.npz, with which the suite without torch checks the model.

    .venv-torch/bin/python -m tests.torch.golden

Run it again only when the twin itself was wrong, and say in the commit which passage
of the paper or of the released format it had wrong; or when a case is added. Never run
it because sparsetx.model no longer agrees: then the model is what changed.

For each case: `CASE/about` (JSON: the released config, the tensors' names and shapes,
the loss in nats), `CASE/tokens`, `CASE/logits` (computed in float64) and
`CASE/logits_float32`, `CASE/state` and `CASE/gradients` (all tensors, flat, in the
order of `about`; the gradients to 16 bits of mantissa, which the file's size wants).
"""

import json
from pathlib import Path

import numpy as np
import torch

from tests.torch.cases import Case, case, rounded
from tests.torch.twin import Arrays, loss_and_gradients

PATH = Path(__file__).parents[1] / "golden" / "twin.npz"
EVERYTHING = case(
    sink=True,
    bigram=True,
    positions="concatenated",
    afrac=0.25,
    residual_topk=True,
    final_bias=True,
)
CASES = {
    "everything": EVERYTHING,
    "dense": case(positions="added", activation="relu"),
    "some_sites": case(
        bigram=True,
        positions="added",
        afrac=0.5,
        activation="relu",
        residual_topk=True,
        residual_activation="relu",
        sites="some",
    ),
    "no_positions": case(sink=True, afrac=0.25),
}


def flat(tensors: Arrays) -> np.ndarray:
    return np.concatenate([x.ravel() for x in tensors.values()]).astype(np.float32)


def entries(of: Case) -> Arrays:
    of = Case(of.name, of.config_json, of.positions, of.final_bias, bits=8)
    state, tokens_BL = of.inputs
    logits_BLV, loss, grads = loss_and_gradients(
        of.config, state, tokens_BL, torch.float64
    )
    about = {
        "config": of.config,
        "tensors": [[name, x.shape] for name, x in state.items()],
        "loss": loss,
    }
    return {
        "about": np.array(json.dumps(about)),
        "tokens": tokens_BL.astype(np.int16),
        "logits": logits_BLV.astype(np.float32),
        "logits_float32": loss_and_gradients(of.config, state, tokens_BL)[0],
        "state": flat(state),
        "gradients": rounded(flat({name: grads[name] for name in state}), 16),
    }


def main() -> None:
    arrays = {
        f"{name}/{key}": x
        for name, of in CASES.items()
        for key, x in entries(of).items()
    }
    PATH.parent.mkdir(exist_ok=True)
    np.savez_compressed(PATH, allow_pickle=False, **arrays)
    print(f"{PATH}: {PATH.stat().st_size / 1e3:.0f} kB, {len(CASES)} cases")


if __name__ == "__main__":
    main()
