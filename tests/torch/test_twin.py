"""The twin against numbers worked out by hand, and the cases against their promise."""

import itertools
import math

import numpy as np
import pytest
import torch

from tests.torch import cases
from tests.torch.twin import Twin, loss_and_gradients, random_state, shapes

pytestmark = pytest.mark.torch

# d_model 2, one head of width 1, one neuron, three tokens in the vocabulary
TINY = cases.released_config(
    block_size=4, vocab_size=3, n_layer=1, n_head=1, d_head=1, d_model=2, d_mlp=1
)
AT = "transformer.h.0"
ROOT2 = math.sqrt(2)


def tiny(changes=(), **config):
    """The TINY model with all weights 0 and all gains 1, then `changes`."""
    config = TINY | config
    state = {name: np.zeros(shape, np.float32) for name, shape in shapes(config)}
    state |= {n: np.ones_like(x) for n, x in state.items() if ".ln_" in n}
    state["lm_head.weight"][:2] = np.eye(2)  # logits 0 and 1 show the last norm
    for name, value in dict(changes).items():
        state[name] = np.array(value, np.float32).reshape(state[name].shape)
    return Twin(config, state, torch.float64)


def logits(twin, *tokens):
    return twin.logits(torch.tensor([tokens]))[0].tolist()


def keep(x, afrac, site="attn_q", sites="attn_q"):
    return tiny(afrac=afrac, afrac_loctypes=sites).keep(site, torch.tensor(x)).tolist()


def test_keep_breaks_ties_by_lowest_index():
    assert keep([1.0, -1.0, 1.0, 0.5], 0.5) == [1.0, -1.0, 0.0, 0.0]
    assert keep([0.5, -2.0, 2.0, 2.0], 0.5) == [0.0, -2.0, 2.0, 0.0]


def test_keep_rounds_k_down_and_works_per_row():
    x = [[1.0, 5.0, 3.0, 4.0, 2.0, 0.0], [9.0, 1.0, 1.0, 1.0, 1.0, 1.0]]
    assert keep(x, 0.25) == [[0, 5, 0, 0, 0, 0], [9, 0, 0, 0, 0, 0]]


def test_keep_only_at_the_named_sites():
    assert keep([3.0, 4.0], 0.5, site="attn_k", sites="attn_q,attn_v") == [3, 4]
    assert keep([3.0, 4.0], 0.5, site="attn_v", sites="attn_q,attn_v") == [0, 4]


def test_embedding_norm_and_unembedding():
    # (3, 4) has root mean square 5/√2
    twin = tiny({"transformer.wte.weight": [0, 0, 3, 4, 0, 0]})
    assert logits(twin, 1)[0] == pytest.approx([3 * ROOT2 / 5, 4 * ROOT2 / 5, 0])
    assert logits(twin, 0)[0] == [0, 0, 0]  # a zero stays zero: no division by zero


def test_norm_has_the_machine_epsilon_inside_the_root():
    twin = tiny({"transformer.wte.weight": [1e-4, 1e-4] * 3})
    expected = 1e-4 / math.sqrt(1e-8 + 2.0**-23)
    assert logits(twin, 0)[0][0] == pytest.approx(expected, rel=1e-6)


def attending(sink=None):
    """Reads (±√2, 0); q = 2, k = read, v = read 0 + 5; the mix lands on channel 1."""
    changes = {
        "transformer.wte.weight": [1, 0, -1, 0, 0, 0],
        f"{AT}.attn.c_attn.weight": [[0, 0], [1, 0], [1, 0]],
        f"{AT}.attn.c_attn.bias": [2, 0, 5],
        f"{AT}.attn.c_proj.weight": [[0], [1]],
    }
    if sink is not None:
        changes[f"{AT}.attn.attn_imp.sink_logit"] = [sink]
    return tiny(changes, sink=sink is not None)


def last_norm(x, y):
    scale = math.sqrt((x * x + y * y) / 2)
    return [x / scale, y / scale, 0]


def test_one_token_attends_to_itself_whatever_its_score():
    # the mix is v alone: 5 + √2
    assert logits(attending(), 0)[0] == pytest.approx(last_norm(1, 5 + ROOT2))


def test_the_sink_enters_the_denominator_only():
    weight = math.exp(2 * ROOT2) / (math.exp(2 * ROOT2) + math.exp(1.5))
    expected = last_norm(1, weight * (5 + ROOT2))
    assert logits(attending(sink=1.5), 0)[0] == pytest.approx(expected)


def test_two_tokens_share_by_softmax():
    # scores at the second token: 2·√2 for the first, -2·√2 for itself
    first = 1 / (1 + math.exp(-4 * ROOT2))
    mix = first * (5 + ROOT2) + (1 - first) * (5 - ROOT2)
    both = logits(attending(), 0, 1)
    assert both[0] == pytest.approx(last_norm(1, 5 + ROOT2))
    assert both[1] == pytest.approx(last_norm(-1, mix))


@pytest.mark.parametrize(("kind", "neuron"), [("gelu", -0.158655254), ("relu", 0)])
def test_mlp_activation(kind, neuron):
    # the neuron sees -1; gelu(-1) = -Φ(-1)
    changes = {
        "transformer.wte.weight": [1, 1] * 3,
        f"{AT}.mlp.c_fc.weight": [-1, -2],
        f"{AT}.mlp.c_fc.bias": [2],
        f"{AT}.mlp.c_proj.weight": [0, 10],
        f"{AT}.mlp.c_proj.bias": [0, 1],
    }
    twin = tiny(changes, activation_type=kind)
    assert logits(twin, 0)[0] == pytest.approx(last_norm(1, 2 + 10 * neuron))


def test_residual_relu_comes_before_residual_abs_topk():
    twin = tiny(
        {"transformer.wte.weight": [-3, 2] * 3},
        afrac=0.5,
        afrac_loctypes="resid_post_attn",
        residual_activation_type="relu",
    )
    assert logits(twin, 0)[0] == pytest.approx([0, ROOT2, 0])


def test_added_positions_enter_the_residual():
    changes = {
        "transformer.wte.weight": [1, 0] * 3,
        "transformer.wpe.weight": [0, 0, 0, 1, 0, 2, 0, 3],
    }
    got = logits(tiny(changes), 0, 0, 0)
    assert got == [pytest.approx(last_norm(1, p)) for p in range(3)]


def test_concatenated_positions_are_read_and_never_written():
    changes = {
        "transformer.wte.weight": [1, 0] * 3,
        "transformer.wpe.weight": [[3, 4]] * 4,
        f"{AT}.ln_p2.weight": [1, 10],
        # normalised positions (3, 4)·√2/5, times gains 1 and 10
        f"{AT}.mlp.c_fc.weight": [0, 0, 1, 1],
        f"{AT}.mlp.c_proj.weight": [0, 1],
    }
    neuron = 43 * ROOT2 / 5
    twin = tiny(changes, d_pos_emb=2, activation_type="relu")
    assert logits(twin, 0)[0] == pytest.approx(last_norm(1, neuron))


def test_concatenated_positions_compete_with_the_residual_for_places():
    # reads (√2, 0, 0.3·√2, 0.4·√2): half of four places, the 0.4 stays, the 0.3 goes
    changes = {
        "transformer.wte.weight": [1, 0] * 3,
        "transformer.wpe.weight": [[3, 4]] * 4,
        f"{AT}.ln_p2.weight": [0.5, 0.5],
        f"{AT}.mlp.c_fc.weight": [0, 0, 10, 1],
        f"{AT}.mlp.c_proj.weight": [0, 1],
    }
    at = {"afrac": 0.5, "afrac_loctypes": "mlp_in", "activation_type": "relu"}
    twin = tiny(changes, d_pos_emb=2, **at)
    assert logits(twin, 0)[0] == pytest.approx(last_norm(1, 0.4 * ROOT2))


def test_bigram_row_of_the_current_token_and_final_bias():
    table = np.arange(9).reshape(3, 3)
    changes = {"bigram_table": table, "final_logits_bias": [0.5, 0, -0.5]}
    twin = tiny(changes, enable_bigram_table=True)
    assert logits(twin, 2, 0) == [[6.5, 7, 7.5], [0.5, 1, 1.5]]


def test_heads_are_major_in_q_k_v_and_output():
    """Two heads of width 2 against torch's own attention."""
    config = cases.released_config(n_layer=1, n_head=2, d_head=2, d_model=3, sink=False)
    state = random_state(config, 0)
    twin = Twin(config, state, torch.float64)
    read_BLD = torch.randn(2, 5, 3, dtype=torch.float64, generator=torch.manual_seed(0))
    weight, bias = (twin.w[f"{AT}.attn.c_attn.{part}"] for part in ("weight", "bias"))
    head = {}
    for h, (part, name) in itertools.product(range(2), enumerate("qkv")):
        rows = slice(4 * part + 2 * h, 4 * part + 2 * h + 2)
        head[name, h] = read_BLD @ weight[rows].T + bias[rows]
    mix = [
        torch.nn.functional.scaled_dot_product_attention(
            *(head[name, h] for name in "qkv"), is_causal=True
        )
        for h in range(2)
    ]
    out = twin.w[f"{AT}.attn.c_proj.weight"], twin.w[f"{AT}.attn.c_proj.bias"]
    expected = torch.nn.functional.linear(torch.cat(mix, -1), *out)
    torch.testing.assert_close(twin.attention(AT, read_BLD), expected)


@pytest.mark.parametrize("of", cases.pairwise(), ids=lambda of: of.name)
def test_causality_by_gradient(of):
    state, tokens_BL = of.inputs
    twin = Twin(of.config, state, torch.float64)
    embed_LD = twin.w["transformer.wte.weight"][torch.tensor(tokens_BL[0])]
    embed_LD = embed_LD.clone().requires_grad_()
    twin.w["transformer.wte.weight"] = embed_LD  # each position is its own token
    twin.w.pop("bigram_table", None)
    twin.config = of.config | {"enable_bigram_table": False}
    at = 6
    out_LV = twin.logits(torch.arange(len(embed_LD))[None])[0]
    (grad_LD,) = torch.autograd.grad(out_LV[at].square().sum(), embed_LD)
    assert (grad_LD[at + 1 :] == 0).all()
    assert (grad_LD[: at + 1].abs().amax(-1) > 0).all()


@pytest.mark.parametrize(
    "of", cases.pairwise() + cases.one_at_a_time(), ids=lambda of: of.name
)
def test_cases_feel_every_weight_and_no_choice_is_near(of):
    state, tokens_BL = of.inputs
    logits_BLV, _, grads = loss_and_gradients(of.config, state, tokens_BL)
    exact_BLV, _, _ = loss_and_gradients(of.config, state, tokens_BL, torch.float64)
    assert cases.margin(of.config, state, tokens_BL) > cases.MARGIN
    np.testing.assert_allclose(logits_BLV, exact_BLV, atol=1e-5, rtol=0)
    assert 0.3 < logits_BLV.std() < 3
    assert not {name for name, grad in grads.items() if abs(grad).max() < 1e-4}


def test_margin_measures_the_nearest_choice():
    twin = tiny(afrac=0.5, afrac_loctypes="attn_q")
    twin.keep("attn_q", torch.tensor([4.0, 3.0, 2.0, 0.0]))
    assert twin.margin == pytest.approx(0.25)
    twin.relu(torch.tensor([-0.5, 10.0, 0.0]))
    assert twin.margin == pytest.approx(0.05)
    twin.keep("attn_q", torch.tensor([4.0, 0.0, 0.0, 0.0]))  # zeros tie harmlessly
    assert twin.margin == pytest.approx(0.05)


def test_every_two_values_of_two_factors_meet():
    chosen = cases.pairwise_rows()
    assert len(chosen) <= 16
    for (a, in_a), (b, in_b) in itertools.combinations(cases.FACTORS.items(), 2):
        for pair in itertools.product(in_a, in_b):
            meet = [row for row in chosen if (row[a], row[b]) == pair]
            assert meet, (a, b, pair)
            # AbsTopK's own factors count only where there is AbsTopK
            if "afrac" not in (a, b) and {a, b} & cases.IDLE_WITHOUT_AFRAC:
                assert any(row["afrac"] for row in meet), (a, b, pair)
