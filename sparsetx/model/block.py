"""One block of the network: attention and an MLP (paper, section 2.1).

Pre-norm with RMSNorm; AbsTopK on what each sublayer reads, computes and writes; an
optional attention sink; optional positions, read beside the residual. Every site calls
`visit`, after AbsTopK.

Letters in names: B batch, L position, D residual channel, R read channel (residual and
concatenated position), P position channel, H head, A channel of a head, C = H·A, F
neuron, V vocabulary. Norms, selection, softmax and residual are float32;
`config.compute` is the type in which sites hold values and matrices multiply.

Departure from the paper: values are rounded to bfloat16 only after AbsTopK has chosen,
because ties in bfloat16 would favour low channels.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from sparsetx import nodes, topk
from sparsetx.config import ModelConfig
from sparsetx.model import kernels, mesh, parameters
from sparsetx.model.kernels import Attend

Visit = Callable[[str, jax.Array], jax.Array]
Look = Callable[[jax.Array], jax.Array]

INIT_STD = 0.02
NORM_EPS = 1.1920929e-07  # float32's machine epsilon, as in the released models


class Read(NamedTuple):
    """The names of what a sublayer reads through: norms, the scale's site, its own."""

    norm: str
    position_norm: str
    scale: str
    site: str


ATTENTION_READ = Read(
    parameters.ATTN_NORM,
    parameters.ATTN_POSITION_NORM,
    nodes.ATTN_NORM,
    nodes.ATTN_IN,
)
MLP_READ = Read(
    parameters.MLP_NORM, parameters.MLP_POSITION_NORM, nodes.MLP_NORM, nodes.MLP_IN
)


class Affine(nn.Module):
    """x @ w + b, multiplied in `compute`, summed in float32."""

    features: int
    compute: str
    std: float = INIT_STD

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (x.shape[-1], self.features)
        w = self.param(parameters.W, nn.initializers.normal(self.std), shape)
        b = self.param(parameters.B, nn.initializers.zeros, (self.features,))
        return multiply(x, w, self.compute) + against(x, b)


class RMSNorm(nn.Module):
    """x / rms(x) · gain. `look` is shown the scale 1/rms(x), and may replace it."""

    @nn.compact
    def __call__(self, x: jax.Array, look: Look | None = None) -> jax.Array:
        gain = self.param(parameters.GAIN, nn.initializers.ones, (x.shape[-1],))
        scale = lax.rsqrt(jnp.mean(jnp.square(x), -1, keepdims=True) + NORM_EPS)
        if look is not None:
            scale = look(scale)
        return x * scale * against(x, gain)


class Sink(nn.Module):
    """A learned logit per head for a slot that holds nothing."""

    n_head: int

    @nn.compact
    def __call__(self) -> jax.Array:
        zeros = nn.initializers.zeros
        logit_H: jax.Array = self.param(parameters.LOGIT, zeros, (self.n_head,))
        return logit_H


class Block(nn.Module):
    """Attention and MLP, each reading the normalised residual and adding to it.

    With `place_B`, what comes out is the residual at one place of each row, [B, 1, D]:
    whatever is only computed for the others, once keys and values are there, is not.
    """

    config: ModelConfig
    attend: Attend = "no"  # how, if not with the whole pattern, which taps may visit

    @nn.compact
    def __call__(
        self,
        x_BLD: jax.Array,
        position_LP: jax.Array | None,
        visit: Visit,
        place_B: jax.Array | None = None,
    ) -> jax.Array:
        x_BLD = visit(nodes.RESID_PRE_ATTN, mesh.spread(x_BLD))
        read_BLR = self.read(ATTENTION_READ, x_BLD, position_LP, visit)
        write_BLD = self.attention(read_BLR, visit, place_B)
        if place_B is not None:
            x_BLD = at_place(x_BLD, place_B)
        x_BLD = self.add(x_BLD, write_BLD, nodes.RESID_POST_ATTN, visit)
        read_BLR = self.read(MLP_READ, x_BLD, position_LP, visit, place_B)
        write_BLD = self.mlp(read_BLR, visit)
        return self.add(x_BLD, write_BLD, nodes.RESID_POST_MLP, visit)

    @nn.nowrap
    def attention(
        self, read_BLR: jax.Array, visit: Visit, place_B: jax.Array | None
    ) -> jax.Array:
        c = self.config
        qkv = Affine(3 * c.d_attn, c.compute, name=parameters.QKV)(read_BLR)
        qkv_BLC = [
            visit(site, part.astype(c.compute))
            for site, part in zip(
                (nodes.Q, nodes.K, nodes.V), self.select_qkv(qkv), strict=True
            )
        ]
        sink_H = Sink(c.n_head, name=parameters.SINK)() if c.sink else None
        if self.attend != "no" and place_B is None:
            mix_BLC = kernels.attend(self.attend, qkv_BLC, sink_H, c.d_head)
        else:
            mix_BLC = self.mix(qkv_BLC, sink_H, visit, place_B)
        return self.write(parameters.O, mix_BLC, nodes.ATTN_OUT, visit)

    @nn.nowrap
    def mix(
        self,
        qkv_BLC: list[jax.Array],
        sink_H: jax.Array | None,
        visit: Visit,
        place_B: jax.Array | None,
    ) -> jax.Array:
        """Values mixed by the pattern, head after head."""
        c = self.config
        heads = (*qkv_BLC[0].shape[:2], c.n_head, c.d_head)
        q_BLHA, k_BLHA, v_BLHA = (part.reshape(heads) for part in qkv_BLC)
        if place_B is not None:
            q_BLHA = at_place(q_BLHA, place_B)
        pattern_BHLL = attention_pattern(q_BLHA, k_BLHA, sink_H, place_B)
        pattern_BHLL = pattern_BHLL.astype(c.compute)
        pattern_BHLL = visit(nodes.ATTN_PATTERN, pattern_BHLL)
        mix_BLHA = contract("BHLM,BMHA->BLHA", pattern_BHLL, v_BLHA)
        return mix_BLHA.reshape(*mix_BLHA.shape[:2], c.d_attn)

    @nn.nowrap
    def mlp(self, read_BLR: jax.Array, visit: Visit) -> jax.Array:
        c = self.config
        h_BLF = Affine(c.d_mlp, c.compute, name=parameters.FC)(read_BLR)
        exact_gelu = functools.partial(jax.nn.gelu, approximate=False)
        h_BLF = exact_gelu(h_BLF) if c.activation == "gelu" else jax.nn.relu(h_BLF)
        h_BLF = self.hold(nodes.MLP_NEURON, h_BLF, visit)
        return self.write(parameters.PROJ, h_BLF, nodes.MLP_OUT, visit)

    @nn.nowrap
    def read(
        self,
        names: Read,
        x_BLD: jax.Array,
        position_LP: jax.Array | None,
        visit: Visit,
        place_B: jax.Array | None = None,
    ) -> jax.Array:
        """The normalised residual, with the normalised position beside it if any."""
        read = RMSNorm(name=names.norm)(x_BLD, lambda x: visit(names.scale, x))
        if position_LP is not None:
            position_1LP = RMSNorm(name=names.position_norm)(position_LP[None])
            shape = (x_BLD.shape[0], *position_LP.shape)
            position_BLP = jnp.broadcast_to(position_1LP, shape)
            if place_B is not None:
                position_BLP = at_place(position_BLP, place_B)
            read = jnp.concatenate([read, position_BLP], -1)
        return self.hold(names.site, read, visit)

    @nn.nowrap
    def write(self, name: str, x: jax.Array, site: str, visit: Visit) -> jax.Array:
        c = self.config
        std = INIT_STD / math.sqrt(2 * c.n_layer)
        return self.hold(site, Affine(c.d_model, c.compute, std, name=name)(x), visit)

    @nn.nowrap
    def add(
        self, x_BLD: jax.Array, write_BLD: jax.Array, site: str, visit: Visit
    ) -> jax.Array:
        x_BLD = x_BLD + write_BLD.astype(jnp.float32)
        x_BLD = jax.nn.relu(x_BLD) if self.config.residual == "relu" else x_BLD
        return visit(site, self.select(site, x_BLD))

    @nn.nowrap
    def hold(self, site: str, x: jax.Array, visit: Visit) -> jax.Array:
        """A site's value: selected in float32, then rounded, then shown to the tap."""
        return visit(site, self.select(site, x).astype(self.config.compute))

    @nn.nowrap
    def select_qkv(self, qkv: jax.Array) -> list[jax.Array]:
        """AbsTopK on q, k and v, each over its own width, in one selection."""
        parts = jnp.split(qkv, 3, axis=-1)
        return self.select_all((nodes.Q, nodes.K, nodes.V), parts)

    @nn.nowrap
    def select(self, site: str, x: jax.Array) -> jax.Array:
        return self.select_all((site,), [x])[0]

    @nn.nowrap
    def select_all(self, sites: Sequence[str], xs: list[jax.Array]) -> list[jax.Array]:
        wide = xs[0].shape[-1]
        kept = [nodes.active_count(self.config, site) or wide for site in sites]
        if min(kept) >= wide:
            return xs
        search = kernels.selection(self.config, wide)
        choose = functools.partial(topk.keep_largest_rows, ks=kept, search=search)
        chosen: list[jax.Array] = mesh.each_by_itself(choose, xs)
        return chosen


def attention_pattern(
    q_BLHA: jax.Array,
    k_BLHA: jax.Array,
    sink_H: jax.Array | None,
    place_B: jax.Array | None = None,
) -> jax.Array:
    """Causal softmax of q·k/√A; a sink only enlarges the denominator. With `place_B`,
    the one query of each row stands there."""
    scores_BHLL = contract("BLHA,BMHA->BHLM", q_BLHA, k_BLHA)
    scores_BHLL = scores_BHLL / math.sqrt(q_BLHA.shape[-1])
    key_L = jnp.arange(k_BLHA.shape[1])
    query_BL = key_L[None] if place_B is None else place_B[:, None]
    seen_B1LL = key_L[None, None, None, :] <= query_BL[:, None, :, None]
    scores_BHLL = jnp.where(seen_B1LL, scores_BHLL, -jnp.inf)
    total_BHL1 = jax.nn.logsumexp(scores_BHLL, -1, keepdims=True)
    if sink_H is not None:
        total_BHL1 = jnp.logaddexp(total_BHL1, sink_H[None, :, None, None])
    return jnp.exp(scores_BHLL - total_BHL1)


def at_place(x_BL: jax.Array, place_B: jax.Array) -> jax.Array:
    """[B, 1, …]: one token of each row."""
    where = place_B.reshape((-1,) + (1,) * (x_BL.ndim - 1))
    return jnp.take_along_axis(x_BL, where, 1)


def multiply(x: jax.Array, w: jax.Array, compute: str) -> jax.Array:
    """x @ w in the compute type, summed in float32 (and float32 really means it).

    Tokens are one axis here: contracted over two, the gradient of w takes twice as
    long on a CPU.
    """
    rows = x.reshape(-1, x.shape[-1]).astype(compute)
    tall = w.shape[0] > w.shape[1] and compute == "float32"
    product = _tall_product if tall and kernels.platform() == "cpu" else _product
    return product(rows, w.astype(compute)).reshape(*x.shape[:-1], -1)


def _product(x: jax.Array, w: jax.Array) -> jax.Array:
    return contract("ni,io->no", x, w)


@jax.custom_vjp
def _tall_product(x: jax.Array, w: jax.Array) -> jax.Array:
    """Of a w with more rows than columns. Its gradient is computed turned and turned
    back: as it is, the product takes a CPU half as long again."""
    return _product(x, w)


def _product_kept(
    x: jax.Array, w: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    return _product(x, w), (x, w)


def _product_slopes(
    kept: tuple[jax.Array, jax.Array], slope: jax.Array
) -> tuple[jax.Array, jax.Array]:
    x, w = kept
    # Without the barrier the compiler would do away with both turns.
    turned = lax.optimization_barrier(contract("no,ni->oi", slope, x))
    return contract("no,io->ni", slope, w), turned.T


_tall_product.defvjp(_product_kept, _product_slopes)


def contract(equation: str, *operands: jax.Array) -> jax.Array:
    """einsum with float32 sums. Accelerators would multiply float32 as bfloat16."""
    exact = operands[0].dtype == jnp.float32
    return jnp.einsum(
        equation,
        *operands,
        precision=lax.Precision.HIGHEST if exact else None,
        preferred_element_type=jnp.float32,
    )


def against(x: jax.Array, b: jax.Array) -> jax.Array:
    """b with leading axes of 1, as many as x has more."""
    return b.reshape((1,) * (x.ndim - 1) + b.shape)
