"""Record a run's configuration and environment; compare them when it resumes.

config.json is the configuration; environment.json the data's fingerprint and, for
every start, the versions, the commit of the code and the devices.
"""

import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax

import sparsetx
from sparsetx.config import RunConfig
from sparsetx.data.token_files import Prepared
from sparsetx.run import CONFIG, ENVIRONMENT, TOKENIZER, load_config
from sparsetx.system import fields, files
from sparsetx.system.errors import Refusal

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
# Keys that may change when a run resumes: they do not change what it computes.
FREE = (
    "mesh.",
    "model.unroll",
    "model.kernels",
    "data.path",
    "train.eval_every",
    "train.eval_batches",
    "train.log_every",
    "train.save_every",
    "train.keep_last",
    "train.keep_every",
    "train.bad_steps",
    "train.tensorboard",
    "train.wandb",
    "train.profile_at",
    "train.profile_steps",
)
DATA = "data"  # if in `allow`, a run may resume on other tokens
LAYOUT = {
    "blocks": "axis 0 numbers the layers, the first block first",
    "qkv": "columns: q, k, v, each head after head",
    "matrices": "[in, out]",
}


def facts(config: RunConfig, data: Prepared) -> dict[str, Any]:
    """What must be equal on all hosts, and is saved with every checkpoint."""
    return {
        "config": fields.to_json(config),
        "data": data.fingerprint,
        "versions": versions(),
        "code": code_state(),
        "layout": LAYOUT,
    }


def versions() -> dict[str, str]:
    found = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"python": sys.version.split()[0], "sparsetx": sparsetx.__version__} | found


def code_state() -> str:
    """The commit of the running code, marked `-dirty` if the tree has changes. Outside
    git, as on a worker that got an archive: $SPARSETX_COMMIT, or 'unknown'."""
    root = Path(sparsetx.__file__).resolve().parent
    told = os.environ.get("SPARSETX_COMMIT") or "unknown"
    command = ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return told
    return found.stdout.strip() or told


def check_resume(config: RunConfig, path: Path, allow: Sequence[str]) -> None:
    """Refuse to resume a run if its configuration changed in a way that matters."""
    if not (path / CONFIG).exists():
        return
    changed = [
        f"{key}: {fields.shown(old)} -> {fields.shown(new)}"
        for key, old, new in fields.diff(load_config(path), config)
        if not key.startswith(FREE) and not _allowed(key, allow)
    ]
    if changed:
        raise Refusal(
            f"the run at {path} began with another configuration:\n  - "
            + "\n  - ".join(changed)
            + "\nResume with its own (sparsetx train "
            f"{path / CONFIG} --run {path}), name another --run, or accept a change "
            "with --allow KEY"
        )


def _allowed(key: str, allow: Sequence[str]) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in allow)


def data_fingerprint(path: Path, allow: Sequence[str] = ()) -> str | None:
    """Fingerprint of the tokens that a run began on; None for a new run."""
    if DATA in allow or not (path / ENVIRONMENT).exists():
        return None
    found = files.read_json(path / ENVIRONMENT, "a run's environment")
    return found.get("data") if isinstance(found, dict) else None


def record(
    config: RunConfig, path: Path, data: Prepared, found: dict[str, Any], step: int
) -> None:
    """Record a start of the run in its folder, after those before it."""
    environment: dict[str, Any] = {"data": data.fingerprint, "starts": []}
    if (path / ENVIRONMENT).exists():
        before = files.read_json(path / ENVIRONMENT, "a run's environment")
        environment["starts"] = list(before.get("starts", []))
    devices = jax.devices()
    start = {
        "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "step": step,
        "versions": found["versions"],
        "code": found["code"],
        "machine": platform.platform(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "hosts": jax.process_count(),
        "tokens": str(data.path),
    }
    environment["starts"].append(start)
    files.write_json(path / CONFIG, fields.to_json(config))
    files.write_bytes(path / TOKENIZER, data.tokenizer_path.read_bytes())
    files.write_json(path / ENVIRONMENT, environment)
