"""Load and save the folder format of the authors' released models.

`beeg_config.json` and `final_model.pt` (a torch state dict) are converted to
(ModelConfig, params) and back, bit for bit. Everything is checked: a config key must be
handled or known to be harmless, tensors and parameters must correspond one to one, and
a pickle that would run code is not loaded. `from_state` and `to_state` are the same
conversion on plain arrays; only `load` and `save` need torch.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.openai_format.config import (
    CONFIG_FILE,
    refused,
    to_model,
    to_released,
)
from sparsetx.system import files
from sparsetx.system.errors import Refusal, refuse_all

WEIGHTS_FILE = "final_model.pt"

Arrays = dict[str, np.ndarray]

# {released name: (path of our parameter, whether torch stores it transposed)}: torch's
# Linear weights are [out, in]. "{i}" stands for the layer.
_TENSORS: dict[str, tuple[parameters.Path, bool]] = {
    "transformer.wte.weight": ((parameters.EMBED, parameters.W), False),
    "transformer.wpe.weight": ((parameters.POSITIONS, parameters.W), False),
    "transformer.ln_f.weight": ((parameters.FINAL_NORM, parameters.GAIN), False),
    "lm_head.weight": ((parameters.UNEMBED, parameters.W), True),
    "bigram_table": ((parameters.BIGRAM, parameters.TABLE), False),
    "final_logits_bias": ((parameters.FINAL_BIAS, parameters.B), False),
} | {
    f"transformer.h.{{i}}.{name}": ((parameters.BLOCKS, place, leaf), transposed)
    for name, place, leaf, transposed in (
        ("ln_1.weight", parameters.ATTN_NORM, parameters.GAIN, False),
        ("ln_p1.weight", parameters.ATTN_POSITION_NORM, parameters.GAIN, False),
        ("attn.c_attn.weight", parameters.QKV, parameters.W, True),
        ("attn.c_attn.bias", parameters.QKV, parameters.B, False),
        ("attn.attn_imp.sink_logit", parameters.SINK, parameters.LOGIT, False),
        ("attn.c_proj.weight", parameters.O, parameters.W, True),
        ("attn.c_proj.bias", parameters.O, parameters.B, False),
        ("ln_2.weight", parameters.MLP_NORM, parameters.GAIN, False),
        ("ln_p2.weight", parameters.MLP_POSITION_NORM, parameters.GAIN, False),
        ("mlp.c_fc.weight", parameters.FC, parameters.W, True),
        ("mlp.c_fc.bias", parameters.FC, parameters.B, False),
        ("mlp.c_proj.weight", parameters.PROJ, parameters.W, True),
        ("mlp.c_proj.bias", parameters.PROJ, parameters.B, False),
    )
}

# What torch.compile and data-parallel wrappers put before every name.
_WRAPPERS = re.compile(r"^(?:_orig_mod\.|module\.)+")


def load(directory: str | os.PathLike[str]) -> tuple[ModelConfig, dict[str, Any]]:
    """(ModelConfig, params) of a released folder."""
    folder = Path(directory)
    if not folder.is_dir():
        raise Refusal(
            f"wanted a folder with {CONFIG_FILE} and {WEIGHTS_FILE} at {folder}: "
            f"{'it is a file' if folder.exists() else 'there is none'}"
        )
    config = files.read_json(folder / CONFIG_FILE, "the config of a released model")
    return from_state(config, _read_tensors(folder / WEIGHTS_FILE))


def save(
    directory: str | os.PathLike[str], config: ModelConfig, params: Mapping[str, Any]
) -> None:
    """Write a released folder; the config file last, so that with it, it is whole."""
    torch = _torch()
    released, arrays = to_state(config, params)
    state = {name: torch.from_numpy(array) for name, array in arrays.items()}
    folder = Path(directory)
    with files.writer(folder / WEIGHTS_FILE) as file:
        torch.save(state, file)
    files.write_json(folder / CONFIG_FILE, released)


def from_state(
    released: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> tuple[ModelConfig, dict[str, Any]]:
    """(ModelConfig, params) from a config dict and {released name: float32 array}."""
    if not isinstance(released, Mapping):
        raise Refusal(f"{CONFIG_FILE}: wanted an object with keys")
    refuse_all(f"{CONFIG_FILE} cannot be used", refused(released))
    named, offences = _unwrapped(arrays)
    config = to_model(
        released, _positions(released, named), "final_logits_bias" in named
    )
    parameters.check_model(
        config, f"{CONFIG_FILE} describes no model that can be built"
    )
    offences += _tensor_offences(config, named)
    refuse_all(f"{WEIGHTS_FILE} does not fit {CONFIG_FILE}", offences)
    params: dict[str, Any] = {}
    for path, names in _wanted(config).items():
        parts = [named[n].T if _TENSORS[_pattern(n)][1] else named[n] for n in names]
        stacked = path[0] == parameters.BLOCKS
        array = np.stack(parts) if stacked else np.ascontiguousarray(parts[0])
        inner = params
        for key in path[:-1]:
            inner = inner.setdefault(key, {})
        inner[path[-1]] = array.astype(np.float32, copy=False)
    parameters.check_tree(config, params, f"{WEIGHTS_FILE} does not fit {CONFIG_FILE}")
    return config, params


def to_state(
    config: ModelConfig, params: Mapping[str, Any]
) -> tuple[dict[str, Any], Arrays]:
    """(released config dict, {released name: array}); the inverse of `from_state`."""
    parameters.check_model(config)
    parameters.check_tree(config, params, "these parameters are not of this model")
    found = dict(parameters.leaves(params))
    arrays: Arrays = {}
    for path, names in _wanted(config).items():
        array = np.asarray(found[path], np.float32)
        layers = array if path[0] == parameters.BLOCKS else array[None]
        for name, part in zip(names, layers, strict=True):
            transposed = _TENSORS[_pattern(name)][1]
            arrays[name] = np.array(part.T if transposed else part, order="C")
    if config.positions == "none":
        wide = (config.context, config.d_model)
        arrays["transformer.wpe.weight"] = np.zeros(wide, np.float32)
    return to_released(config), arrays


def _positions(
    released: Mapping[str, Any], named: Arrays
) -> Literal["none", "added", "concatenated"]:
    """Released models without positions have the table too, full of zeros."""
    if released.get("d_pos_emb"):
        return "concatenated"
    table = named.get("transformer.wpe.weight")
    # Compared as bits: a table of negative zeros was not written by `to_state`.
    empty = table is not None and not table.tobytes().strip(b"\0")
    return "none" if empty else "added"


def _wanted(config: ModelConfig) -> dict[parameters.Path, list[str]]:
    """{our path: the released names of its layers, or its one name}."""
    names = {path: pattern for pattern, (path, _) in _TENSORS.items()}
    return {
        p.path: [
            names[p.path].format(i=i) for i in range(config.n_layer if p.stacked else 1)
        ]
        for p in parameters.table(config)
    }


def _tensor_offences(config: ModelConfig, named: Arrays) -> list[str]:
    """Errors: tensors that are missing, unknown, or of the wrong shape."""
    shapes = {p.path: p.shape for p in parameters.table(config)}
    expected = {
        name: shapes[path][::-1] if _TENSORS[_pattern(name)][1] else shapes[path]
        for path, names in _wanted(config).items()
        for name in names
    }
    if config.positions == "none":  # the file has the table nevertheless, as zeros
        expected["transformer.wpe.weight"] = (config.context, config.d_model)
    found = [f"{name}: missing" for name in expected if name not in named]
    found += [f"{name}: has no place" for name in named if name not in expected]
    return found + [
        f"{name}: wanted shape {shape}, got {named[name].shape}"
        for name, shape in expected.items()
        if name in named and named[name].shape != shape
    ]


def _unwrapped(arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, list[str]]:
    """Names without wrappers' prefixes; errors for two that are then the same."""
    named: Arrays = {}
    origin: dict[str, str] = {}
    offences = []
    for name, array in arrays.items():
        bare = _WRAPPERS.sub("", name)
        if bare in named:
            offences.append(f"{bare}: set twice, by {origin[bare]} and by {name}")
        named[bare], origin[bare] = array, name
    return named, offences


def _pattern(name: str) -> str:
    return re.sub(r"^transformer\.h\.\d+\.", "transformer.h.{i}.", name)


def _read_tensors(path: Path) -> Arrays:
    torch = _torch()
    if not path.is_file():
        raise Refusal(f"wanted the weights of a released model at {path}: no such file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever an untrusted file makes torch raise
        first = str(error).strip().splitlines()[:1]
        raise Refusal(
            f"wanted a torch state dict at {path}: it is truncated, is something else, "
            f"or holds more than tensors, which is refused because loading it could "
            f"run code ({type(error).__name__}: {' '.join(first)[:200]})"
        ) from error
    if not isinstance(state, Mapping):
        raise Refusal(
            f"wanted a torch state dict at {path}, got a {type(state).__name__}"
        )
    return _as_arrays(torch, state, path)


def _as_arrays(torch: Any, state: Mapping[Any, Any], path: Path) -> Arrays:
    floats = (torch.float32, torch.bfloat16, torch.float16)
    offences = [
        f"{name}: wanted a dense tensor of float32, bfloat16 or float16, got "
        + (str(value.dtype) if torch.is_tensor(value) else type(value).__name__)
        for name, value in state.items()
        if not torch.is_tensor(value)
        or value.dtype not in floats
        or value.layout != torch.strided
    ]
    refuse_all(f"{path} cannot be used", offences)
    return {str(name): value.detach().float().numpy() for name, value in state.items()}


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise Refusal(
            "reading and writing released models needs torch: "
            "pip install 'sparsetx[torch]'"
        ) from error
    return torch
