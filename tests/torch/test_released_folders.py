"""Released folders, written by torch itself: in, out, and what is refused."""

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch

from sparsetx import openai_format
from sparsetx.model import parameters
from sparsetx.system.errors import Refusal
from tests.torch import cases, ours, twin

pytestmark = pytest.mark.torch

FULL = cases.case(
    sink=True, bigram=True, positions="concatenated", afrac=0.25, final_bias=True
)
QKV = "transformer.h.1.attn.c_attn.weight"


def full():
    state, _ = FULL.at_seed(0)
    return FULL.config, state


def write(folder, config, state):
    """A folder as the authors' code wrote it."""
    folder.mkdir(exist_ok=True)
    (folder / "beeg_config.json").write_text(json.dumps(config))
    tensors = OrderedDict(
        (name, torch.tensor(x) if isinstance(x, np.ndarray) else x)
        for name, x in state.items()
    )
    torch.save(tensors, folder / "final_model.pt")
    return folder


def read_state(folder):
    state = torch.load(folder / "final_model.pt", weights_only=True)
    return {name: x.numpy() for name, x in state.items()}


def leaves(params):
    return {"/".join(path): np.asarray(x) for path, x in parameters.leaves(params)}


def assert_same_bits(found, wanted):
    assert set(found) == set(wanted)
    for name, x in wanted.items():
        assert (found[name].dtype, found[name].shape) == (x.dtype, x.shape), name
        assert found[name].tobytes() == x.tobytes(), name


def refusal(folder):
    with pytest.raises(Refusal) as caught:
        openai_format.load(folder)
    return str(caught.value)


@pytest.mark.parametrize("of", cases.pairwise(), ids=lambda of: of.name)
def test_import_export_import_is_bit_equal(of, tmp_path):
    state, _ = of.at_seed(0)
    config, params = openai_format.load(write(tmp_path / "theirs", of.config, state))
    openai_format.save(tmp_path / "ours", config, params)
    assert_same_bits(read_state(tmp_path / "ours"), state)
    config_again, params_again = openai_format.load(tmp_path / "ours")
    assert config_again == config
    assert_same_bits(leaves(params_again), leaves(params))


def test_bits_that_arithmetic_would_lose_survive(tmp_path):
    config, state = full()
    strange = [-0.0, 1e-45, -1e-40, 3.4e38, 1 + 2**-23]
    state[QKV][0, :5] = strange
    state["bigram_table"][-1, :5] = strange
    loaded = openai_format.load(write(tmp_path / "theirs", config, state))
    openai_format.save(tmp_path / "ours", *loaded)
    assert_same_bits(read_state(tmp_path / "ours"), state)


def test_the_twin_reads_what_we_save(tmp_path):
    """The exported config says the same as the imported one, in their keys."""
    state, tokens_BL = FULL.inputs
    loaded = openai_format.from_state(FULL.config, state)
    openai_format.save(tmp_path, *loaded)
    config = json.loads((tmp_path / "beeg_config.json").read_text())
    found, _, _ = twin.loss_and_gradients(config, read_state(tmp_path), tokens_BL)
    wanted, _, _ = twin.loss_and_gradients(FULL.config, state, tokens_BL)
    assert (found == wanted).all()


def test_other_spellings_of_the_same_model(tmp_path):
    config, state = full()
    wanted = openai_format.load(write(tmp_path / "a", config, state))
    older = config | {"n_mlp": config["d_mlp"], "bigram_table_rank": None, "pfrac": 0.1}
    older |= {"use_tied_aux_matrix": False, "tokenizer_name": "tinypython_2k"}
    older |= {"enable_sparse_kernels": True, "grad_checkpointing": True}
    del older["d_mlp"]
    wrapped = {f"_orig_mod.{name}": x for name, x in state.items()}
    found = openai_format.load(write(tmp_path / "b", older, wrapped))
    assert found[0] == wanted[0]
    assert_same_bits(leaves(found[1]), leaves(wanted[1]))


def test_a_dict_of_parameters_loads_like_a_state_dict(tmp_path):
    config, state = full()
    wanted = openai_format.from_state(config, state)[1]
    learned = {n: torch.nn.Parameter(torch.tensor(x)) for n, x in state.items()}
    found = openai_format.load(write(tmp_path, config, learned))[1]
    assert_same_bits(leaves(found), leaves(wanted))


def test_half_precision_checkpoints_are_widened(tmp_path):
    config, state = full()
    half = {n: torch.tensor(x).bfloat16() for n, x in state.items()}
    wide = {n: x.float().numpy() for n, x in half.items()}
    found = openai_format.load(write(tmp_path, config, half))[1]
    assert_same_bits(leaves(found), leaves(openai_format.from_state(config, wide)[1]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("rms_norm", False),
        ("bias", False),
        ("tied_unembed", True),
        ("sinusoidal_cat_pos_emb", True),
        ("use_tied_aux_matrix", True),
        ("dropout", 0.1),
        ("activation_type", "swish"),
        ("residual_activation_type", "gelu"),
        ("afrac", 1.5),
        ("afrac", "0.25"),
        ("afrac_loctypes", "attn_in,attn_mix"),
        ("n_layer", 2.0),
        ("n_head", True),
        ("d_head", -6),
        ("sink", "yes"),
        ("d_pos_emb", 0),
        ("n_mlp", 41),
        ("rotary", True),
    ],
)
def test_unsupported_config_values_are_refused_by_name(tmp_path, key, value):
    config, state = full()
    message = refusal(write(tmp_path, config | {key: value}, state))
    assert key in message
    assert json.dumps(value) in message


def test_config_offences_come_all_at_once(tmp_path):
    config, state = full()
    config |= {"rotary": True, "rms_norm": False, "activation_type": "swish"}
    del config["n_layer"], config["vocab_size"]
    message = refusal(write(tmp_path, config, state))
    for key in ("rotary", "rms_norm", "activation_type", "n_layer", "vocab_size"):
        assert key in message


def test_tensor_offences_come_all_at_once_in_the_released_names(tmp_path):
    config, state = full()
    del state["transformer.h.0.ln_2.weight"]
    state["transformer.h.0.attn.rotary.weight"] = np.zeros(3, np.float32)
    state["transformer.h.2.ln_1.weight"] = np.zeros(24, np.float32)  # of two layers
    state["module.lm_head.weight"] = state["lm_head.weight"]
    state[QKV] = state[QKV].T
    state["transformer.wte.weight"] = state["transformer.wte.weight"][:-1]
    lines = refusal(write(tmp_path, config, state)).splitlines()
    for name, why in {
        "transformer.h.0.ln_2.weight": "missing",
        "transformer.h.0.attn.rotary.weight": "has no place",
        "transformer.h.2.ln_1.weight": "has no place",
        "lm_head.weight": "set twice",
        QKV: "(31, 54)",
        "transformer.wte.weight": "(36, 24)",
    }.items():
        assert any(name in line and why in line for line in lines), (name, lines)


def test_a_wrong_shape_in_every_layer_is_refused(tmp_path):
    config, state = full()
    for i in range(2):
        name = f"transformer.h.{i}.mlp.c_fc.weight"
        state[name] = np.ascontiguousarray(state[name].T)
    message = refusal(write(tmp_path, config, state))
    assert "transformer.h.0.mlp.c_fc.weight" in message
    assert "transformer.h.1.mlp.c_fc.weight" in message


def test_a_position_table_of_zeros_must_fit_all_the_same(tmp_path):
    none = cases.case()
    state, _ = none.at_seed(0)
    state["transformer.wpe.weight"] = np.zeros((5, 7), np.float32)
    message = refusal(write(tmp_path, none.config, state))
    assert "transformer.wpe.weight" in message
    assert "(5, 7)" in message


def test_negative_zeros_in_the_position_table_are_kept(tmp_path):
    none = cases.case()
    state, _ = none.at_seed(0)
    state["transformer.wpe.weight"][3] = -0.0
    loaded = openai_format.load(write(tmp_path / "theirs", none.config, state))
    openai_format.save(tmp_path / "ours", *loaded)
    assert_same_bits(read_state(tmp_path / "ours"), state)


def test_what_is_no_float_tensor_is_refused_by_name(tmp_path):
    config, state = full()
    state["lm_head.weight"] = torch.zeros(37, 24, dtype=torch.int64)
    state["bigram_table"] = torch.zeros(37, 37).to_sparse()
    state["step"] = 12
    message = refusal(write(tmp_path, config, state))
    for name in ("lm_head.weight", "bigram_table", "step"):
        assert name in message


class Bomb:
    """What unpickles by creating the file at `path`."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, zipped):
    config, state = full()
    folder, trace = write(tmp_path / "theirs", config, state), tmp_path / "ran"
    weights = folder / "final_model.pt"
    tensors = {name: torch.tensor(x) for name, x in state.items()}
    bomb = tensors | {"lm_head.weight": Bomb(trace)}
    torch.save(bomb, weights, _use_new_zipfile_serialization=zipped)
    message = refusal(folder)
    assert "could run code" in " ".join(message.split())
    assert str(weights) in message
    assert not trace.exists()
    # The bomb is a live one: whoever trusts the file has its code run.
    torch.load(weights, weights_only=False)["lm_head.weight"].close()
    assert trace.exists()


@pytest.mark.parametrize(
    "kept", [0, 1, 100, 0.5, 0.99], ids=lambda kept: f"kept:{kept}"
)
def test_a_truncated_file_is_refused_once_and_clearly(tmp_path, kept):
    folder = write(tmp_path, *full())
    weights = folder / "final_model.pt"
    whole = weights.read_bytes()
    size = kept if isinstance(kept, int) else int(kept * len(whole))
    weights.write_bytes(whole[:size])
    message = refusal(folder)
    assert str(weights) in message
    assert "truncated" in message
    assert message.count("\n") <= 2


def test_other_files_in_the_place_of_the_weights_are_refused(tmp_path):
    folder = write(tmp_path, *full())
    weights = folder / "final_model.pt"
    weights.write_text("version https://git-lfs.github.com/spec/v1\n")
    assert str(weights) in refusal(folder)
    torch.save([torch.zeros(3)], weights)
    assert "list" in refusal(folder)
    weights.unlink()
    assert str(weights) in refusal(folder)


def test_folders_that_are_none(tmp_path):
    assert str(tmp_path / "absent") in refusal(tmp_path / "absent")
    folder = write(tmp_path / "theirs", *full())
    assert "it is a file" in refusal(folder / "final_model.pt")
    for text in ("", "{", "[1, 2]", "null"):
        (folder / "beeg_config.json").write_text(text)
        assert "beeg_config.json" in refusal(folder)
    (folder / "beeg_config.json").unlink()
    assert "beeg_config.json" in refusal(folder)


def test_logits_of_a_loaded_folder_are_the_twins(tmp_path):
    """From the disk to the logits, the whole way."""
    state, tokens_BL = FULL.inputs
    folder = write(tmp_path, FULL.config, state)
    config = json.loads((folder / "beeg_config.json").read_text())
    wanted, _, _ = twin.loss_and_gradients(config, read_state(folder), tokens_BL)
    found = ours.run(*openai_format.load(folder), tokens_BL)
    assert np.abs(found - wanted).max() <= 1e-4
