"""Convert the released models' `beeg_config.json` to a ModelConfig and back.

A key must be handled, or have the one value that is implemented, or be known not to
affect the forward pass; any other key is an error, reported with its value.
"""

from collections.abc import Mapping
from typing import Any, Literal

from sparsetx import nodes
from sparsetx.config import ModelConfig
from sparsetx.system import fields

CONFIG_FILE = "beeg_config.json"

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
# These do not affect the forward pass.
_HARMLESS = (
    "ln_bias", "dropout_cat_pos_emb", "flash", "grad_checkpointing",
    "enable_sparse_kernels", "debug_nans", "tokenizer_name", "pfrac",
    "bigram_table_rank",
)  # fmt: skip


def to_released(config: ModelConfig) -> dict[str, Any]:
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


def to_model(
    released: Mapping[str, Any],
    positions: Literal["none", "added", "concatenated"],
    final_bias: bool,
) -> ModelConfig:
    d_model, n_head = released["d_model"], released["n_head"]
    sites, afrac = _sites(released.get("afrac_loctypes")), released.get("afrac")
    afrac = afrac if sites else None
    bigram = bool(released.get("enable_bigram_table", False))
    d_pos = released.get("d_pos_emb") or 0
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
        positions=positions,
        d_pos=d_pos,
        final_bias=final_bias,
    )


def _sites(loctypes: Any) -> tuple[str, ...]:
    """Our site names for their comma-separated ones, in the order of computation."""
    theirs = {part.strip() for part in (loctypes or "").split(",")}
    ours = [_SITES[name] for name in _SITES if name in theirs]
    return tuple(ours)


def refused(released: Mapping[str, Any]) -> list[str]:
    """Errors: keys that are missing, unknown, or have an unsupported value."""
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
    return found


def _value_offences(key: str, value: Any) -> list[str]:
    """Errors of a handled key: a value of the wrong type, or not allowed."""
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
