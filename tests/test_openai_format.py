"""The released format on plain arrays; tests/torch has real files and the twin."""

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparsetx import nodes, openai_format
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.openai_format import config
from sparsetx.system.errors import Refusal
from tests.small import SMALL, params_of

CONFIGS = {
    "everything": dataclasses.replace(SMALL, afrac=None),
    "plain": ModelConfig(
        vocab_size=11, context=6, n_layer=2, d_model=8, n_head=2, d_head=3, d_mlp=10,
        afrac=None, activation="relu",
    ),
    "added": dataclasses.replace(
        SMALL, positions="added", d_pos=0, afrac=0.25, sink=False, residual="relu",
        afrac_sites=(nodes.Q, nodes.MLP_OUT, nodes.RESID_POST_MLP),
    ),
    "fixed bigram": dataclasses.replace(SMALL, bigram_learned=False, final_bias=False),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_there_and_back_is_bit_equal(name: str) -> None:
    config, params = CONFIGS[name], params_of(CONFIGS[name])
    released, arrays = openai_format.to_state(config, params)
    json.dumps(released, allow_nan=False)
    back, again = openai_format.from_state(released, arrays)
    assert back == config
    for (path, one), (other_path, other) in zip(
        sorted(parameters.leaves(params)), sorted(parameters.leaves(again)), strict=True
    ):
        assert path == other_path
        np.testing.assert_array_equal(
            np.asarray(one).view("u4"), np.asarray(other).view("u4")
        )
    twice, same = openai_format.to_state(back, again)
    assert twice == released
    assert set(same) == set(arrays)
    assert all(same[key].tobytes() == arrays[key].tobytes() for key in arrays)


def test_layout_is_the_released_one() -> None:
    """Torch's [out, in]; q, k, v one below the other; a zero table of positions."""
    config = CONFIGS["plain"]
    _, arrays = openai_format.to_state(config, params_of(config))
    assert arrays["transformer.h.1.attn.c_attn.weight"].shape == (18, 8)
    assert arrays["transformer.h.0.mlp.c_fc.weight"].shape == (10, 8)
    assert arrays["transformer.h.0.mlp.c_proj.weight"].shape == (8, 10)
    assert arrays["lm_head.weight"].shape == (11, 8)
    assert not arrays["transformer.wpe.weight"].any()
    w = params_of(config)[parameters.BLOCKS][parameters.QKV][parameters.W][1]
    np.testing.assert_array_equal(
        arrays["transformer.h.1.attn.c_attn.weight"][6:12], np.asarray(w)[:, 6:12].T
    )


def state(name: str = "everything") -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return openai_format.to_state(CONFIGS[name], params_of(CONFIGS[name]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tied_unembed": True}, "tied_unembed = true: not supported, only false"),
        ({"rms_norm": False}, "rms_norm = false: not supported, only true"),
        ({"bias": False}, "bias = false: not supported"),
        ({"dropout": 0.1}, "dropout = 0.1: not supported, only 0"),
        ({"sinusoidal_cat_pos_emb": True}, "sinusoidal_cat_pos_emb = true"),
        ({"use_tied_aux_matrix": True}, "use_tied_aux_matrix = true"),
        ({"rope": True}, "rope = true: not a key this reader knows"),
        ({"activation_type": "silu"}, 'activation_type = "silu": wanted gelu or relu'),
        ({"residual_activation_type": "tanh"}, "wanted identity or relu"),
        ({"afrac": 1.5}, r"afrac = 1.5: wanted null or a number in \(0, 1\]"),
        ({"afrac": 0.5, "afrac_loctypes": "attn_z"}, "wanted only attn_in, attn_q"),
        ({"afrac": 0.5, "afrac_loctypes": 3}, "afrac_loctypes = 3: wanted names"),
        ({"n_layer": True}, "n_layer = true: wanted a whole number above 0"),
        ({"d_pos_emb": -1}, "d_pos_emb = -1: wanted a whole number"),
        ({"sink": "yes"}, 'sink = "yes": wanted true or false'),
        ({"n_mlp": 7}, "d_mlp = 40 and n_mlp = 7: one thing, set twice"),
    ],
)
def test_refused_config_values(changes: dict[str, Any], message: str) -> None:
    released, arrays = state()
    with pytest.raises(Refusal, match=message):
        openai_format.from_state(released | changes, arrays)


def test_every_offence_of_a_config_at_once() -> None:
    released, arrays = state()
    del released["block_size"]
    with pytest.raises(Refusal) as refused:
        openai_format.from_state(released | {"rope": 1, "bias": False}, arrays)
    for part in ("block_size: missing", "rope = 1", "bias = false"):
        assert part in str(refused.value)


def test_missing_site_names_are_refused() -> None:
    released, arrays = state("added")
    del released["afrac_loctypes"]
    with pytest.raises(Refusal, match="afrac_loctypes: missing, though afrac is set"):
        openai_format.from_state(released, arrays)


def test_harmless_keys_and_older_names_are_accepted() -> None:
    released, arrays = state()
    released["n_mlp"] = released.pop("d_mlp")
    released |= {"pfrac": 0.1, "bigram_table_rank": None, "debug_nans": False}
    released |= {"tokenizer_name": "tinypython_2k", "grad_checkpointing": True}
    config, _ = openai_format.from_state(released, arrays)
    assert config == CONFIGS["everything"]
    del released["d_head"]
    with pytest.raises(Refusal, match=r"wanted shape \(72, 29\), got \(54, 29\)"):
        openai_format.from_state(released, arrays)  # d_head is then 24 / 3


def test_every_offence_of_the_tensors_at_once() -> None:
    released, arrays = state()
    del arrays["transformer.h.2.ln_1.weight"]
    arrays["transformer.h.3.ln_1.weight"] = np.ones(24, np.float32)
    arrays["transformer.h.0.mlp.c_fc.bias"] = np.ones(39, np.float32)
    arrays["_orig_mod.lm_head.weight"] = arrays["lm_head.weight"]
    with pytest.raises(Refusal) as refused:
        openai_format.from_state(released, arrays)
    for part in (
        "transformer.h.2.ln_1.weight: missing",
        "transformer.h.3.ln_1.weight: has no place",
        "transformer.h.0.mlp.c_fc.bias: wanted shape (40,), got (39,)",
        "lm_head.weight: set twice, by lm_head.weight and by _orig_mod.lm_head.weight",
    ):
        assert part in str(refused.value)


def test_wrapped_names_are_unwrapped() -> None:
    released, arrays = state()
    wrapped = {f"module._orig_mod.{name}": array for name, array in arrays.items()}
    config, _ = openai_format.from_state(released, wrapped)
    assert config == CONFIGS["everything"]


def test_a_bigram_table_that_the_config_denies_is_refused() -> None:
    released, arrays = state()
    with pytest.raises(Refusal, match="bigram_table: has no place"):
        openai_format.from_state(released | {"enable_bigram_table": False}, arrays)


def test_a_config_that_is_no_object_is_refused() -> None:
    with pytest.raises(Refusal, match=r"beeg_config.json: wanted an object"):
        openai_format.from_state([1], {})  # type: ignore[arg-type]


def test_a_model_that_cannot_be_built_is_refused() -> None:
    released, arrays = state("added")
    with pytest.raises(Refusal, match=r"afrac = 0\.01: wanted .* one entry of q, 18"):
        openai_format.from_state(released | {"afrac": 0.01}, arrays)


def test_parameters_of_another_model_are_not_exported() -> None:
    with pytest.raises(Refusal, match="blocks/fc/b: wanted shape"):
        openai_format.to_state(CONFIGS["plain"], params_of(SMALL))


def test_every_site_has_one_released_name() -> None:
    """The eight sites of a block and the two residual ones, each once."""
    ours = list(config._SITES.values())
    assert sorted(ours) == sorted({*nodes.NODE_SITES, *nodes.RESIDUAL_SITES})


def test_without_torch_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    released, _ = state()
    (tmp_path / config.CONFIG_FILE).write_text(json.dumps(released))
    with pytest.raises(Refusal, match=r"pip install 'sparsetx\[torch\]'"):
        openai_format.load(tmp_path)


def test_folders_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"wanted a folder .* there is none"):
        openai_format.load(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(Refusal, match="it is a file"):
        openai_format.load(file)
    with pytest.raises(Refusal, match=r"config of a released model at .*No such file"):
        openai_format.load(tmp_path)
    (tmp_path / config.CONFIG_FILE).write_text("{")
    with pytest.raises(Refusal, match="it is not JSON"):
        openai_format.load(tmp_path)
