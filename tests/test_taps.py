"""Taps: where they are called, what they may do, and that they compose."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sparsetx import model, nodes, taps
from sparsetx.config import ModelConfig
from tests.small import FEW, SMALL, TOKENS, params_of, random_nodes


def record(config: ModelConfig) -> tuple[list[str], dict[str, tuple[int, ...]]]:
    order: list[str] = []
    shapes: dict[str, tuple[int, ...]] = {}

    def look(site: str, x: jax.Array) -> jax.Array:
        order.append(site)
        shapes[site] = x.shape
        return x

    jax.eval_shape(lambda p: model.apply(config, p, TOKENS, look), params_of(config))
    return order, shapes


def test_called_once_per_site_in_the_order_of_computation() -> None:
    order, shapes = record(SMALL)
    wanted = [nodes.EMBED, *nodes.BLOCK_SITES, nodes.FINAL, nodes.FINAL_NORM]
    assert order == wanted
    for site in wanted:
        if site != nodes.ATTN_PATTERN:
            assert shapes[site] == (*TOKENS.shape, nodes.width(SMALL, site)), site
    batch, length = TOKENS.shape
    assert shapes[nodes.ATTN_PATTERN] == (batch, SMALL.n_head, length, length)


def test_identity_changes_no_bit() -> None:
    params = params_of(FEW)
    plain = model.apply(FEW, params, TOKENS)
    for tap in (taps.IDENTITY, lambda site, x: x, taps.capture(nodes.NODE_SITES)):
        np.testing.assert_array_equal(plain, model.apply(FEW, params, TOKENS, tap))


def test_capture_stacks_layers() -> None:
    sites = (nodes.EMBED, nodes.Q, nodes.MLP_NEURON, nodes.ATTN_PATTERN)
    _, taken = model.trace(FEW, params_of(FEW), TOKENS, taps.capture(sites))
    assert set(taken) == set(sites)
    assert taken[nodes.EMBED].shape == (*TOKENS.shape, FEW.d_model)
    assert taken[nodes.Q].shape == (FEW.n_layer, *TOKENS.shape, FEW.d_attn)
    attended = taken[nodes.ATTN_PATTERN].sum(-1)  # the sink takes the rest
    assert 0 < attended.min() < attended.max() < 1 + 1e-5


def test_ablating_nothing_and_everything() -> None:
    params = params_of(FEW)
    means = random_nodes(FEW, 1)
    plain = model.apply(FEW, params, TOKENS)
    keep_all = {s: jnp.ones(shape) for s, shape in nodes.shapes(FEW).items()}
    kept = model.apply(FEW, params, TOKENS, taps.ablate(keep_all, means))
    np.testing.assert_array_equal(plain, kept)
    keep_none = {s: jnp.zeros_like(x) for s, x in keep_all.items()}
    tap = taps.compose(taps.ablate(keep_none, means), taps.capture(nodes.NODE_SITES))
    _, taken = model.trace(FEW, params, TOKENS, tap)
    for site in nodes.NODE_SITES:
        everywhere = jnp.broadcast_to(means[site][:, None, None], taken[site].shape)
        np.testing.assert_array_equal(taken[site], everywhere)


def test_mask_gradient_is_the_effect_of_a_node() -> None:
    """d loss / d mask through the tap agrees with a finite difference.

    Without AbsTopK, whose choices make the loss jump."""
    config = dataclasses.replace(FEW, afrac=None)
    params = params_of(config)
    keep = {nodes.V: jnp.full(nodes.shapes(config)[nodes.V], 0.5)}
    means = {nodes.V: random_nodes(config, 1)[nodes.V]}

    @jax.jit
    def loss(keep: Any) -> jax.Array:
        return jnp.mean(
            model.apply(config, params, TOKENS, taps.ablate(keep, means)) ** 2
        )

    gradient = jax.jit(jax.grad(loss))(keep)[nodes.V]
    layer, index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
    step = 1e-2
    up, down = (
        loss({nodes.V: keep[nodes.V].at[layer, index].add(sign * step)})
        for sign in (1, -1)
    )
    np.testing.assert_allclose(
        (up - down) / (2 * step), gradient[layer, index], rtol=0.03
    )


def test_mix_spares_what_it_is_told_to() -> None:
    params, means = params_of(FEW), random_nodes(FEW, 1)
    amount = {s: jnp.full_like(m, 0.25) for s, m in means.items()}
    spare_all = {s: jnp.ones_like(m) for s, m in means.items()}
    plain = model.apply(FEW, params, TOKENS)
    spared = model.apply(FEW, params, TOKENS, taps.mix(amount, means, spare_all))
    np.testing.assert_array_equal(plain, spared)
    mixed = model.apply(FEW, params, TOKENS, taps.mix(amount, means))
    assert np.abs(mixed - plain).max() > 1e-3


def test_interchange_moves_one_run_into_another() -> None:
    """With every node's values taken over, a run computes the other's logits."""
    params = params_of(FEW)
    other = (TOKENS + 5) % FEW.vocab_size
    sites = (nodes.EMBED, *nodes.NODE_SITES)
    wanted, values = model.trace(FEW, params, other, taps.capture(sites))
    everywhere = {s: jnp.ones(n) for s, n in nodes.shapes(FEW, sites).items()}
    tap = taps.interchange(everywhere, values)
    moved = model.apply(FEW, params, TOKENS, tap)
    bigram = params["bigram"]["table"]
    np.testing.assert_allclose(
        moved - bigram[TOKENS], wanted - bigram[other], rtol=1e-5, atol=1e-5
    )
    nowhere = {s: jnp.zeros_like(x) for s, x in everywhere.items()}
    stayed = model.apply(FEW, params, TOKENS, taps.interchange(nowhere, values))
    np.testing.assert_array_equal(stayed, model.apply(FEW, params, TOKENS))


def test_substituted_norms_make_the_unembedding_linear() -> None:
    """With frozen scales, doubling the last residual doubles what it adds."""
    params = params_of(FEW)
    plain, scales = model.trace(FEW, params, TOKENS, taps.capture(nodes.NORM_SITES))
    frozen = taps.substitute(scales)
    np.testing.assert_array_equal(plain, model.apply(FEW, params, TOKENS, frozen))
    double = taps.compose(frozen, _double_the_last_residual)
    doubled = model.apply(FEW, params, TOKENS, double)
    table = params["bigram"]["table"][TOKENS] + params["final_bias"]["b"][None, None]
    np.testing.assert_allclose(
        doubled - table, 2 * (plain - table), rtol=1e-4, atol=1e-5
    )


def _double_the_last_residual(site: str, x: jax.Array) -> jax.Array:
    return 2 * x if site == nodes.FINAL else x


def test_vmap_over_masks_equals_each_alone() -> None:
    params, means = params_of(FEW), random_nodes(FEW, 1)
    each = [random_nodes(FEW, seed, masks=True) for seed in range(3)]
    masks = jax.tree.map(lambda *m: jnp.stack(m), *each)

    def logits(keep: Any) -> jax.Array:
        return model.apply(FEW, params, TOKENS, taps.ablate(keep, means))

    together = jax.jit(jax.vmap(logits))(masks)
    alone_logits = jax.jit(logits)
    for i in range(3):
        alone = alone_logits(each[i])
        np.testing.assert_allclose(together[i], alone, rtol=1e-5, atol=1e-5)


def test_one_compilation_for_many_masks() -> None:
    traced = 0

    def count(site: str, x: jax.Array, here: Any) -> tuple[jax.Array, Any]:
        nonlocal traced
        traced += site == nodes.Q
        return x * here[site][None, None] if site == nodes.Q else x, None

    params = params_of(FEW)
    for scale in range(4):
        along = {nodes.Q: jnp.full((FEW.n_layer, FEW.d_attn), float(scale))}
        model.apply(FEW, params, TOKENS, taps.Tap(count, along))
    assert traced == 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: taps.capture(["attn_inn"]),
            "no site 'attn_inn'; did you mean attn_in",
        ),
        (lambda: taps.substitute({"qq": 1}), "no site 'qq'"),
        (lambda: taps.as_tap(3), "wanted a Tap, a function"),
        (lambda: taps.mix({"q": 1}, {"k": 1}), "same sites .* amount: q; values: k"),
        (
            lambda: taps.interchange({"q": 1}, {"q": 1, "v": 1}),
            "interchange: wanted the same sites",
        ),
    ],
)
def test_refusals(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_two_takes_at_one_site_are_refused() -> None:
    tap = taps.compose(taps.capture([nodes.Q]), taps.capture([nodes.Q, nodes.V]))
    with pytest.raises(ValueError, match="2 of the composed taps take at 'q'"):
        model.trace(FEW, params_of(FEW), TOKENS, tap)


def test_a_tap_that_changes_a_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the tap changed 'q' from shape"):
        model.apply(FEW, params_of(FEW), TOKENS, _drop_a_channel)


def _drop_a_channel(site: str, x: jax.Array) -> jax.Array:
    return x[..., :-1] if site == nodes.Q else x
