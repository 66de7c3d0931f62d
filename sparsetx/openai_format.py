"""The folder format of the authors' released models, in both directions.

`beeg_config.json` and `final_model.pt` (a torch state dict) become (ModelConfig,
params) and back, bit for bit. Nothing is taken on trust: a config key must be handled
or known to be harmless, every tensor must have exactly one place and every place a
tensor, and a pickle that would run code is not loaded. `from_state` and `to_state` are
the same mapping on plain arrays; only `load` and `save` need torch.
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sparsetx import fields, files, nodes, parameters
from sparsetx.config import ModelConfig
from sparsetx.errors import Refusal, refuse_all

CONFIG_FILE = "beeg_config.json"
WEIGHTS_FILE = "final_model.pt"

Arrays = dict[str, np.ndarray]

# Released name -> where the tensor goes, and whether torch holds it transposed
# (its Linear weights are [out, in]). "{i}" stands for the layer.
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

_SITES = {
    "attn_in": nodes.ATTN_IN,
    "attn_q": nodes.Q,
    "attn_k": nodes.K,
    "attn_v": nodes.V,
    "attn_out": nodes.ATTN_OUT,
    "mlp_in": nodes.MLP_IN,
    "mlp_neuron": nodes.MLP_NEURON,
    "mlp_out": nodes.MLP_OUT,
    "resid_post_attn": nodes.RESID_POST_ATTN,
    "resid_post_mlp": nodes.RESID_POST_MLP,
}

_NEEDED = ("block_size", "vocab_size", "n_layer", "n_head", "d_model", "rms_norm")
_HANDLED = (
    *_NEEDED, "d_head", "d_mlp", "n_mlp", "activation_type", "residual_activation_type",
    "afrac", "afrac_loctypes", "enable_bigram_table", "learnable_bigram_table",
    "d_pos_emb", "sink",
)  # fmt: skip
# These would change what the model computes; only this value is implemented.
_ONLY = {
    "rms_norm": True,
    "bias": True,
    "tied_unembed": False,
    "sinusoidal_cat_pos_emb": False,
    "use_tied_aux_matrix": False,
    "dropout": 0,
}
# These do not touch the forward pass.
_HARMLESS = (
    "ln_bias", "dropout_cat_pos_emb", "flash", "grad_checkpointing",
    "enable_sparse_kernels", "debug_nans", "tokenizer_name", "pfrac",
    "bigram_table_rank",
)  # fmt: skip
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
    """Write a released folder; the config file last, so a folder with it is whole."""
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
    """The same from a config dict and {released name: float32 array}."""
    if not isinstance(released, Mapping):
        raise Refusal(f"{CONFIG_FILE}: wanted an object with keys")
    refuse_all(f"{CONFIG_FILE} cannot be used", _config_offences(released))
    named, offences = _unwrapped(arrays)
    config = _model_config(released, named)
    parameters.check_model(
        config, f"{CONFIG_FILE} describes no model that can be built"
    )
    if config.positions == "none":  # the file has the table all the same: zeros
        named.pop("transformer.wpe.weight", None)
    wanted = _wanted(config)
    offences += _tensor_offences(wanted, named)
    refuse_all(f"{WEIGHTS_FILE} does not fit {CONFIG_FILE}", offences)
    params: dict[str, Any] = {}
    for path, names in wanted.items():
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
    return _released_config(config), arrays


def _released_config(config: ModelConfig) -> dict[str, Any]:
    names = {ours: theirs for theirs, ours in _SITES.items()}
    return {
        "block_size": config.context,
        "vocab_size": config.vocab_size,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "d_head": config.d_head,
        "d_model": config.d_model,
        "d_mlp": config.d_mlp,
        "dropout": 0.0,
        "bias": True,
        "ln_bias": False,
        "rms_norm": True,
        "tied_unembed": False,
        "activation_type": config.activation,
        "residual_activation_type": config.residual,
        "afrac": config.afrac,
        "afrac_loctypes": ",".join(names[s] for s in nodes.active_sites(config)),
        "enable_bigram_table": config.bigram != "none",
        "learnable_bigram_table": config.bigram != "none" and config.bigram_learned,
        "d_pos_emb": config.d_pos or None,
        "sinusoidal_cat_pos_emb": False,
        "sink": config.sink,
        "flash": True,
    }


def _model_config(released: Mapping[str, Any], named: Arrays) -> ModelConfig:
    d_model, n_head = released["d_model"], released["n_head"]
    sites, afrac = _sites(released.get("afrac_loctypes")), released.get("afrac")
    afrac = afrac if sites else None
    bigram = bool(released.get("enable_bigram_table", False))
    d_pos = released.get("d_pos_emb") or 0
    table = named.get("transformer.wpe.weight")
    if d_pos:
        positions = "concatenated"
    else:
        # Compared as bits: a table of negative zeros is not one that we would write.
        empty = table is not None and not table.tobytes().strip(b"\0")
        positions = "none" if empty else "added"
    return ModelConfig(
        vocab_size=released["vocab_size"],
        context=released["block_size"],
        n_layer=released["n_layer"],
        d_model=d_model,
        n_head=n_head,
        d_head=released.get("d_head") or d_model // n_head,
        d_mlp=released.get("d_mlp") or released.get("n_mlp") or 4 * d_model,
        activation=released.get("activation_type", "gelu"),
        residual=released.get("residual_activation_type", "identity"),
        afrac=None if afrac is None else float(afrac),
        afrac_sites=() if afrac is None or sites == nodes.NODE_SITES else sites,
        sink=bool(released.get("sink", False)),
        bigram="random" if bigram else "none",
        bigram_learned=not bigram
        or bool(released.get("learnable_bigram_table", False)),
        positions=positions,  # type: ignore[arg-type]
        d_pos=d_pos,
        final_bias="final_logits_bias" in named,
    )


def _sites(loctypes: Any) -> tuple[str, ...]:
    """Our names of their comma-joined ones, in the order of computation."""
    theirs = {part.strip() for part in (loctypes or "").split(",")}
    ours = [_SITES[name] for name in _SITES if name in theirs]
    return tuple(ours)


def _config_offences(released: Mapping[str, Any]) -> list[str]:
    """Keys that are missing, unknown, or hold what this model does not compute."""
    known = (*_HANDLED, *_ONLY, *_HARMLESS)
    found = [f"{key}: missing" for key in _NEEDED if key not in released]
    for key, value in released.items():
        if key not in known:
            found.append(f"{key} = {fields.shown(value)}: not a key this reader knows")
        elif key in _ONLY and (value != _ONLY[key] or isinstance(value, str)):
            found.append(
                f"{key} = {fields.shown(value)}: not supported, "
                f"only {fields.shown(_ONLY[key])}"
            )
        else:
            found += _value_offences(key, value)
    if released.get("afrac") is not None and "afrac_loctypes" not in released:
        found.append("afrac_loctypes: missing, though afrac is set")
    mlp, older = released.get("d_mlp"), released.get("n_mlp")
    if mlp is not None and older is not None and mlp != older:
        found.append(f"d_mlp = {mlp} and n_mlp = {older}: one thing, set twice")
    if not released.get("enable_bigram_table") and released.get(
        "learnable_bigram_table"
    ):
        found.append("learnable_bigram_table = true: but enable_bigram_table is not")
    return found


def _value_offences(key: str, value: Any) -> list[str]:
    """A handled key whose value is of the wrong type or not among those allowed."""
    counts = ("block_size", "vocab_size", "n_layer", "n_head", "d_model")
    optional_counts = ("d_head", "d_mlp", "n_mlp", "d_pos_emb")
    flags = ("enable_bigram_table", "learnable_bigram_table", "sink")
    choices = {
        "activation_type": ("gelu", "relu"),
        "residual_activation_type": ("identity", "relu"),
    }
    wanted = ""
    if key in counts or (key in optional_counts and value is not None):
        wanted = "" if type(value) is int and value > 0 else "a whole number above 0"
    elif key in flags:
        wanted = "" if isinstance(value, bool) else "true or false"
    elif key in choices:
        wanted = "" if value in choices[key] else " or ".join(choices[key])
    elif key == "afrac" and value is not None:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        wanted = "" if number and 0 < value <= 1 else "null or a number in (0, 1]"
    elif key == "afrac_loctypes":
        if not isinstance(value, str):
            wanted = "names joined by commas"
        else:
            parts = [part.strip() for part in value.split(",") if part.strip()]
            strange = [part for part in parts if part not in _SITES]
            wanted = f"only {', '.join(_SITES)}" if strange else ""
    return [f"{key} = {fields.shown(value)}: wanted {wanted}"] if wanted else []


def _wanted(config: ModelConfig) -> dict[parameters.Path, list[str]]:
    """Our path -> the released names of its layers, or its one name."""
    names = {path: pattern for pattern, (path, _) in _TENSORS.items()}
    return {
        p.path: [
            names[p.path].format(i=i) for i in range(config.n_layer if p.stacked else 1)
        ]
        for p in parameters.table(config)
    }


def _tensor_offences(
    wanted: Mapping[parameters.Path, list[str]], named: Arrays
) -> list[str]:
    expected = [name for names in wanted.values() for name in names]
    found = [f"{name}: missing" for name in expected if name not in named]
    found += [f"{name}: has no place" for name in named if name not in set(expected)]
    for names in wanted.values():
        shapes = {named[name].shape for name in names if name in named}
        if len(shapes) > 1:
            listed = ", ".join(map(str, sorted(shapes)))
            found.append(f"{names[0]} and its other layers differ in shape: {listed}")
    return found


def _unwrapped(arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, list[str]]:
    """Names without wrappers' prefixes; two that then coincide are an offence."""
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
    return {str(name): value.float().numpy() for name, value in state.items()}


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise Refusal(
            "reading and writing released models needs torch: "
            "pip install 'sparsetx[torch]'"
        ) from error
    return torch
