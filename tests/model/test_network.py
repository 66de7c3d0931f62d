"""The network: causality, invariances, init; parity is tests/test_golden.py's."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps, topk
from sparsetx.config import ModelConfig
from sparsetx.model import block, parameters
from sparsetx.system.errors import Refusal
from tests.small import FEW, SMALL, TOKENS, params_of


def with_(**changes: Any) -> ModelConfig:
    return dataclasses.replace(FEW, **changes)


COMPUTE = ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)]


@pytest.mark.parametrize("compute", COMPUTE)
def test_causality_by_gradient(compute: str) -> None:
    """Logits at a position depend on no later embedding, and on the earlier ones."""
    config = with_(compute=compute, bigram="none")
    params = params_of(config)
    position = 5

    def logit_sum(shift: jax.Array) -> jax.Array:
        tap = taps.Tap(_shift_embedding, None, shift)
        return jnp.sum(model.apply(config, params, TOKENS, tap)[:, position] ** 2)

    shift = jnp.zeros((*TOKENS.shape, config.d_model))
    reach = np.abs(jax.jit(jax.grad(logit_sum))(shift)).sum((0, 2))
    assert (reach[position + 1 :] == 0).all()
    assert (reach[: position + 1] > 0).all()


def _shift_embedding(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
    return (x + here if site == nodes.EMBED else x), None


@pytest.mark.parametrize("compute", COMPUTE)
def test_remat_equals_plain(compute: str) -> None:
    """Equal loss, gradients and AbsTopK masks."""
    config = with_(compute=compute)
    params = params_of(config)

    def loss(params: Any, config: ModelConfig) -> tuple[jax.Array, Any]:
        tap = taps.capture(nodes.NODE_SITES)
        logits, taken = model.trace(config, params, TOKENS, tap)
        return jnp.mean(logits**2), {s: x != 0 for s, x in taken.items()}

    run = jax.jit(jax.value_and_grad(loss, has_aux=True), static_argnums=1)
    (plain, masks), gradient = run(params, config)
    (again, same), regained = run(params, dataclasses.replace(config, remat=True))
    np.testing.assert_allclose(float(plain), float(again), rtol=1e-6)
    for site, mask in masks.items():
        np.testing.assert_array_equal(mask, same[site])
    for (path, one), (_, other) in zip(
        parameters.leaves(gradient), parameters.leaves(regained), strict=True
    ):
        scale = float(jnp.abs(one).max())
        np.testing.assert_allclose(one, other, atol=1e-5 * scale, err_msg=str(path))


def test_remat_saves_thresholds_only() -> None:
    """The backward pass of a rematerialised model has no selection of its own."""
    params = params_of(SMALL)

    def loops(config: ModelConfig) -> int:
        f = jax.grad(lambda p: jnp.mean(model.apply(config, p, TOKENS) ** 2))
        return str(jax.make_jaxpr(f)(params)).count("while[")

    assert loops(with_(remat=True)) == loops(FEW) > 0


# One of each kind: a read, a head's, a neuron, a residual; the others in slow tests.
QUICK = (nodes.ATTN_IN, nodes.V, nodes.MLP_NEURON, nodes.RESID_POST_MLP)
SITES = [
    pytest.param(site, marks=[pytest.mark.slow] * (site not in QUICK))
    for site in (*nodes.NODE_SITES, *nodes.RESIDUAL_SITES)
]


@pytest.mark.parametrize("site", SITES)
def test_abstopk_acts_where_it_should(site: str) -> None:
    config = with_(afrac=0.25, afrac_sites=(site,))
    watched = (*nodes.NODE_SITES, *nodes.RESIDUAL_SITES)
    _, taken = model.trace(config, params_of(config), TOKENS, taps.capture(watched))
    kept = int(0.25 * nodes.width(config, site))
    assert nodes.active_count(config, site) == kept
    for other in watched:
        most = int((taken[other] != 0).sum(-1).max())
        assert (most <= kept) == (other == site), other


def test_bfloat16_selects_before_it_rounds() -> None:
    """The mask in bfloat16 is the float32 one where their inputs agree: layer 0."""
    params = params_of(SMALL)
    found = []
    for compute in ("float32", "bfloat16"):
        tap = taps.capture((nodes.ATTN_IN,))
        _, taken = model.trace(with_(compute=compute), params, TOKENS, tap)
        found.append(taken[nodes.ATTN_IN][0])
    assert found[1].dtype == jnp.bfloat16
    np.testing.assert_array_equal(found[0] != 0, found[1] != 0)


def test_bfloat16_is_close() -> None:
    config = with_(afrac=None)
    exact = model.apply(config, params_of(config), TOKENS)
    near = model.apply(
        dataclasses.replace(config, compute="bfloat16"), params_of(config), TOKENS
    )
    assert near.dtype == jnp.float32
    assert float(jnp.abs(exact - near).max() / jnp.abs(exact).max()) < 0.05


def test_a_sink_only_takes_attention_away() -> None:
    q = jax.random.normal(jax.random.key(0), (1, 5, 2, 4))
    k = jax.random.normal(jax.random.key(1), (1, 5, 2, 4))
    from sparsetx.model.block import attention_pattern

    plain = attention_pattern(q, k, None)
    np.testing.assert_allclose(plain.sum(-1), 1, rtol=1e-5)
    sunk = attention_pattern(q, k, jnp.array([0.5, -30.0]))
    ratio = np.tril(sunk / jnp.where(plain > 0, plain, 1))
    assert (sunk.sum(-1)[:, 0] < 0.99).all()
    np.testing.assert_allclose(sunk[:, 1], plain[:, 1], rtol=1e-5)
    # One factor per query: what remains is shared out as before.
    np.testing.assert_allclose(
        ratio[0, 0].max(-1),
        np.where(ratio[0, 0] > 0, ratio[0, 0], 9).min(-1),
        rtol=1e-5,
    )


def test_positions_matter_only_where_there_are_some() -> None:
    """A constant sequence without positions: every position computes the same."""
    tokens = jnp.full((1, 8), 3)
    for positions, d_pos in (("none", 0), ("added", 0), ("concatenated", 5)):
        config = with_(positions=positions, d_pos=d_pos, sink=False)
        logits = np.asarray(model.apply(config, params_of(config), tokens))
        spread = float(np.abs(logits - logits[:, :1]).max())
        assert (spread < 1e-4) == (positions == "none")


def test_init_follows_the_paper() -> None:
    config = ModelConfig(vocab_size=512, n_layer=4, d_model=128, n_head=8, d_mlp=512)
    params = model.init(config, jax.random.key(0))
    parameters.check_tree(config, params, "the initial parameters")
    found = dict(parameters.leaves(params))
    for parameter in parameters.table(config):
        array = np.asarray(found[parameter.path])
        write = parameter.path[1] in (parameters.O, parameters.PROJ)
        if parameter.kind == "matrix":
            wanted = 0.02 / np.sqrt(2 * config.n_layer) if write else 0.02
            np.testing.assert_allclose(array.std(), wanted, rtol=0.03)
        elif parameter.kind == "gain":
            assert (array == 1).all()
        elif parameter.kind == "bias":
            assert (array == 0).all()
    first, second = found[(parameters.BLOCKS, parameters.FC, parameters.W)][:2]
    assert float(jnp.abs(first - second).max()) > 0


def test_init_is_the_same_on_any_mesh() -> None:
    from jax.sharding import AxisType, NamedSharding, PartitionSpec

    plain = jax.jit(lambda key: model.init(SMALL, key))(jax.random.key(3))
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))

    def split(x: Any) -> NamedSharding:
        axes = [None] * x.ndim
        for i, n in enumerate(x.shape):
            if n % 8 == 0:
                axes[i] = "x"  # type: ignore[call-overload]
                break
        return NamedSharding(mesh, PartitionSpec(*axes))

    shardings = jax.tree.map(split, plain)
    sharded = jax.jit(lambda key: model.init(SMALL, key), out_shardings=shardings)(
        jax.random.key(3)
    )
    jax.tree.map(np.testing.assert_array_equal, plain, sharded)


def test_bigram_from_counts_is_the_bigram_model() -> None:
    """With a silent network, the first logits are the log frequencies."""
    config = ModelConfig(
        vocab_size=3, n_layer=1, d_model=8, n_head=1, d_head=4, d_mlp=8, bigram="counts"
    )
    counts = jnp.array([[0.0, 9.0, 1.0], [5.0, 5.0, 0.0], [1.0, 1.0, 1.0]])
    table = model.bigram_from_counts(counts, smoothing=0.5)
    params = model.init(config, jax.random.key(0), table)
    silent = jax.tree.map(jnp.zeros_like, params) | {"bigram": params["bigram"]}
    chances = jax.nn.softmax(model.apply(config, silent, jnp.array([[0, 1, 2]])))[0]
    wanted = (counts + 0.5) / (counts + 0.5).sum(-1, keepdims=True)
    np.testing.assert_allclose(chances, wanted, rtol=1e-5)
    with pytest.raises(ValueError, match=r"wanted a table \(3, 3\)"):
        model.init(config, jax.random.key(0))


def test_a_tail_is_the_same_scan_over_a_slice() -> None:
    config = with_(positions="none", d_pos=0)
    params = params_of(config)
    tap = taps.capture((nodes.RESID_PRE_ATTN, nodes.RESID_POST_MLP))
    _, taken = model.trace(config, params, TOKENS, tap)
    tail = jax.tree.map(lambda x: x[1:], params[parameters.BLOCKS])
    x_BLD, _ = model.run_blocks(
        config, tail, taken[nodes.RESID_PRE_ATTN][1], None, taps.IDENTITY
    )
    np.testing.assert_allclose(x_BLD, taken[nodes.RESID_POST_MLP][-1], rtol=1e-5)


def test_depth_does_not_grow_the_program() -> None:
    def size(layers: int) -> int:
        config = with_(n_layer=layers)
        params = jax.eval_shape(lambda k: model.init(config, k), jax.random.key(0))
        lowered = jax.jit(lambda p: model.apply(config, p, TOKENS)).lower(params)
        return len(lowered.as_text().splitlines())

    assert size(2) == size(12)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (jnp.zeros((3,), int), r"wanted tokens as integers \[batch, length\]"),
        (jnp.zeros((2, 3)), r"got float32\[2, 3\]"),
        (jnp.zeros((1, 13), int), "13 tokens, but positions were learned for 12"),
    ],
)
def test_refused_tokens(tokens: jax.Array, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.apply(SMALL, params_of(SMALL), tokens)


def test_refused_configurations() -> None:
    with pytest.raises(Refusal, match=r"afrac_sites: AbsTopK cannot act at 'mlp'"):
        model.init(with_(afrac_sites=("mlp",)), jax.random.key(0))


def test_selection_is_the_one_of_topk() -> None:
    """Exactly k nonzeros at every token, the k largest of what was there before."""
    dense = with_(afrac=None, n_layer=1)
    sparse = with_(afrac_sites=(nodes.MLP_NEURON,), n_layer=1)
    tap = taps.capture((nodes.MLP_NEURON,))
    params = params_of(dense)
    _, before = model.trace(dense, params, TOKENS, tap)
    _, after = model.trace(sparse, params, TOKENS, tap)
    wanted = topk.keep_largest(before[nodes.MLP_NEURON], 20, axis=-1)
    np.testing.assert_allclose(after[nodes.MLP_NEURON], wanted, rtol=1e-6)


@pytest.mark.parametrize("shape", [(12, 4), (4, 12)])
def test_gradients_of_a_product_are_those_of_einsum(shape: tuple[int, int]) -> None:
    """A matrix with more rows than columns has its own way back."""
    shapes = (2, 3, shape[0]), shape, (2, 3, shape[1])
    x, w, slope = (
        jax.random.normal(jax.random.key(i), s) for i, s in enumerate(shapes)
    )
    ours, back = jax.vjp(lambda x, w: block.multiply(x, w, "float32"), x, w)
    theirs, plainly = jax.vjp(lambda x, w: jnp.einsum("bli,io->blo", x, w), x, w)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    for one, other in zip(back(slope), plainly(slope), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
