"""Logits of a circuit from its own weights (`folding.py`), at a cost that follows them.

The same as the model under mean ablation, to rounding. In NumPy, since a circuit is
small and every circuit another program, which would take longer to compile than to run
a hundred times. For logits at one place of each row, all that follows the last
attention is computed there alone.

`fold` has no such form of a circuit where AbsTopK acts on the residual itself (then
every channel can depend on every kept node), where values are held as bfloat16, and
where the circuit is most of its model; the tapped model serves these.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure import folding
from sparsetx.circuits.measure.folding import Array, Linear, Reading, Weights
from sparsetx.config import ModelConfig
from sparsetx.model import parameters
from sparsetx.model.block import NORM_EPS
from sparsetx.nodes import Nodes

# An operation of NumPy on small arrays takes as long as so many of a large product.
SLOWER = 16
SMALL = 10**6  # weights; below that the tapped model takes longer to compile
ENTRIES = 2**26  # numbers that the table of still channels may hold
WINDOW = ("size", "index")  # of the channels near the k-th place


@dataclass(frozen=True, eq=False)
class Folded:
    """A circuit, ready to run. `table` grows with the tokens that come up."""

    weights: Weights
    sublayers: tuple[folding.Sublayer, ...]
    table: "Table"

    def logits(self, tokens_BL: Any) -> Array:
        """[B, L, V], float32."""
        tokens_BL = np.asarray(tokens_BL)
        shape = (*tokens_BL.shape, self.weights.config.vocab_size)
        return _forward(self, tokens_BL, None).reshape(shape)

    def logits_at(self, tokens_BL: Any, place_B: Any) -> Array:
        """[B, V]: logits at one place of each row; later tokens are not looked at."""
        place_B = np.asarray(place_B)
        tokens_BL = np.asarray(tokens_BL)[:, : max(place_B, default=0) + 1]
        return _forward(self, tokens_BL, place_B)


def fold(config: ModelConfig, params: Any, keep: Nodes, means: Nodes) -> Folded | None:
    """The circuit's own weights; None where they would not do (see above)."""
    selected = set(nodes.active_sites(config)) & set(nodes.RESIDUAL_SITES)
    whole = set(nodes.NODE_SITES) - set(keep)
    other = set(keep) - {*nodes.NODE_SITES, nodes.FINAL}
    if selected or whole or other or config.compute != "float32":
        return None
    own = folding.weights(config, params, keep, means)
    kept = sum(int(x.sum()) for x in own.keep.values())
    if kept > 0.1 * nodes.count(config) and kept > 1000:
        return None  # to fold it would already take longer
    sublayers = tuple(own.sublayers())
    folded = Folded(own, sublayers, Table(own, sublayers))
    large = sum(x.size for x in own.params.values() if x.ndim > 1)
    return folded if SLOWER * work(folded) <= max(large, SMALL) else None


def work(folded: Folded) -> int:
    """Operations for each token, roughly, before the unembedding."""
    return sum(_work(s.part) for s in folded.sublayers if s.part is not None)


def _work(part: folding.Attention | folding.Mlp) -> int:
    reading = part.reading
    rivals = 0 if reading.rank is None else 2 * len(reading.rank.index_M)
    found = len(reading.kept_N) * (rivals + 1) + part.write.work
    if isinstance(part, folding.Mlp):
        return found + part.neurons.work
    scores = sum(len(h.query_N) + len(h.value_N) + 8 for h in part.heads)
    return found + scores * 64 + part.q.work + part.k.work + part.v.work


@dataclass(eq=False)
class Table:
    """What the still channels of the residual are for each token (or token and
    position), at every read of a kept node and at the end."""

    weights: Weights
    sublayers: tuple[folding.Sublayer, ...]
    keys_U: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    rows: dict[tuple[int, str], Array] = field(default_factory=dict)

    def places(self, tokens_BL: Array) -> Array:
        """Where each token of all rows is in the table; it is filled as needed."""
        own = self.weights
        keys_T = tokens_BL.astype(np.int64)
        if own.config.positions == "added":
            keys_T = keys_T * own.config.context + np.arange(tokens_BL.shape[1])
        keys_T = keys_T.ravel()
        new_U = np.setdiff1d(keys_T, self.keys_U)
        if len(new_U):
            self._add(new_U, keys_T)
        order_U = np.argsort(self.keys_U)
        found: Array = order_U[np.searchsorted(self.keys_U, keys_T, sorter=order_U)]
        return found

    def _add(self, new_U: Array, all_T: Array) -> None:
        per_key = sum(x.shape[1] for x in self.rows.values())
        if (len(self.keys_U) + len(new_U)) * per_key > ENTRIES:
            self.keys_U, self.rows = self.keys_U[:0], {}
            new_U = np.unique(all_T)
        found = self._of(new_U)
        if self.rows:
            found = {k: np.concatenate([self.rows[k], x]) for k, x in found.items()}
        self.rows, self.keys_U = found, np.concatenate([self.keys_U, new_U])

    def _of(self, keys_U: Array) -> dict[tuple[int, str], Array]:
        own = self.weights
        moving, relu = own.moving_M, own.config.residual == "relu"
        x_UD = self._embedding(keys_U)
        found = {(0, "moving"): x_UD[:, moving]}
        for i, sublayer in enumerate(self.sublayers):
            if sublayer.part is not None:
                found |= self._read(i, sublayer.part.reading, x_UD)
            x_UD = x_UD + sublayer.mean_D
            x_UD = np.maximum(x_UD, 0) if relu else x_UD
        return found | self._last(x_UD)

    def _embedding(self, keys_U: Array) -> Array:
        own = self.weights
        embed_VD = own.params[(parameters.EMBED, parameters.W)]
        if own.config.positions != "added":
            x_UD: Array = embed_VD[keys_U]
            return x_UD
        token_U, position_U = np.divmod(keys_U, own.config.context)
        table = own.params[(parameters.POSITIONS, parameters.W)]
        added: Array = embed_VD[token_U] + table[position_U]
        return added

    def _read(self, i: int, read: Reading, x_UD: Array) -> dict[Any, Array]:
        still_D = np.delete(np.arange(x_UD.shape[1]), self.weights.moving_M)
        still_UD = x_UD[:, still_D]
        found = {
            (i, "value"): x_UD[:, read.still_N],
            (i, "square"): np.square(still_UD).sum(1, keepdims=True),
        }
        if read.rank is not None:
            size_UD = np.abs(still_UD * read.gain_D[still_D])
            window = folding.by_size(size_UD)[:, slice(*read.limits)]
            found[i, WINDOW[0]] = np.take_along_axis(size_UD, window, 1)
            found[i, WINDOW[1]] = still_D[window].astype(np.int32)
        return found

    def _last(self, x_UD: Array) -> dict[Any, Array]:
        """The end: still channels through the unembedding, before the norm."""
        own, x_UD = self.weights, x_UD.copy()
        moving_M, kept_D = own.moving_M, np.ones(x_UD.shape[1], bool)
        if nodes.FINAL in own.keep:
            kept_D = own.keep[nodes.FINAL]
            x_UD[:, ~kept_D] = own.means[nodes.FINAL][~kept_D]
        x_UD[:, moving_M[kept_D[moving_M]]] = 0
        gain_D = own.params[(parameters.FINAL_NORM, parameters.GAIN)]
        w_DV = own.params[(parameters.UNEMBED, parameters.W)]
        end = len(self.sublayers)
        return {
            (end, "square"): np.square(x_UD).sum(1, keepdims=True),
            (end, "logits"): (x_UD * gain_D) @ w_DV,
        }


@dataclass(eq=False)
class _State:
    """Tokens on their way: T = B·L of them, or B once only one place is followed."""

    batch: int
    x_MT: Array  # channels that kept nodes write
    key_T: Array
    position_T: Array
    token_T: Array

    def at(self, place_B: Array) -> "_State":
        length = len(self.key_T) // self.batch
        where = np.arange(self.batch) * length + place_B
        return _State(
            self.batch, np.ascontiguousarray(self.x_MT[:, where]), self.key_T[where],
            self.position_T[where], self.token_T[where],
        )  # fmt: skip


def _forward(folded: Folded, tokens_BL: Array, place_B: Array | None) -> Array:
    """[T, V]. On one thread: with rows shared out to two, they wait for each other at
    the interpreter's lock for longer than they compute."""
    batch, length = tokens_BL.shape
    if not tokens_BL.size:
        return np.zeros((0, folded.weights.config.vocab_size), np.float32)
    key_T = folded.table.places(tokens_BL)
    x_MT = folded.table.rows[0, "moving"][key_T].T.copy()
    position_T = np.tile(np.arange(length), batch)
    state = _State(batch, x_MT, key_T, position_T, tokens_BL.ravel())
    mixes = [isinstance(s.part, folding.Attention) for s in folded.sublayers]
    last = max((i for i, mix in enumerate(mixes) if mix), default=-1)
    if place_B is not None and last < 0:
        state = state.at(place_B)
    for i, sublayer in enumerate(folded.sublayers):
        at = place_B if i == last else None
        state = _step(folded, i, sublayer, state, at)
    return _unembed(folded, state)


def _step(
    folded: Folded, i: int, sublayer: folding.Sublayer, state: _State, at: Array | None
) -> _State:
    part, own = sublayer.part, folded.weights
    written = None
    if part is not None:
        read_NT = _read(folded, i, part.reading, state)
        if isinstance(part, folding.Attention):
            mix_IT = _attention(own, part, read_NT, state, at)
            written = _sums(own.config, part.write, mix_IT)
        else:
            neurons = _sums(own.config, part.neurons, read_NT)
            written = _sums(own.config, part.write, neurons)
    state = state if at is None else state.at(at)
    write_MT = np.zeros_like(state.x_MT) + sublayer.mean_D[own.moving_M][:, None]
    if part is not None and written is not None:
        write_MT[np.searchsorted(own.moving_M, part.write.kept_N)] = written
    state.x_MT += write_MT
    if own.config.residual == "relu":
        np.maximum(state.x_MT, 0, out=state.x_MT)
    return state


def _read(folded: Folded, i: int, read: Reading, state: _State) -> Array:
    """Kept reads, [N, T]: the scale of the norm is common to all that it is compared
    with, except positions; so those are divided by it."""
    own, rows = folded.weights, folded.table.rows
    square_T = rows[i, "square"][state.key_T, 0] + np.square(state.x_MT).sum(0)
    scale_T = 1 / np.sqrt(square_T / own.config.d_model + np.float32(NORM_EPS))
    gain_M1 = read.gain_D[own.moving_M][:, None]
    moving_NT = state.x_MT[read.moving_N] * gain_M1[read.moving_N]
    still_NT = rows[i, "value"][state.key_T].T * read.gain_D[read.still_N][:, None]
    parts, beside_PT = [moving_NT, still_NT], None
    if read.position_PL is not None:
        beside_PT = read.position_PL[:, state.position_T] / scale_T
        parts.append(beside_PT[read.position_N])
    value_NT: Array = np.concatenate(parts)[read.order_N]
    if read.rank is not None and len(value_NT):
        rivals = [state.x_MT * gain_M1]
        rivals += [] if beside_PT is None else [beside_PT]
        window = (np.ascontiguousarray(rows[i, x][state.key_T].T) for x in WINDOW)
        sizes = np.abs(value_NT), np.abs(np.concatenate(rivals))
        chosen_NT = read.rank.chosen(read.kept_N, *sizes, *window)
        value_NT = np.where(chosen_NT, value_NT, 0)
    scaled: Array = value_NT * scale_T
    return scaled


def _sums(config: ModelConfig, part: Linear, input_IT: Array) -> Array:
    """The kept nodes of a site, [N, T], after AbsTopK."""
    x_MT = part.before(input_IT)
    if part.site == nodes.MLP_NEURON:
        x_MT = folding.activated(config, x_MT)
    kept_NT: Array = x_MT[part.place_N]
    if part.rank is None or not len(kept_NT):
        return kept_NT
    sizes = np.abs(kept_NT), np.abs(x_MT)
    window = part.rank.value_S[:, None], part.rank.index_S[:, None]
    chosen_NT = part.rank.chosen(part.kept_N, *sizes, *window)
    chosen: Array = np.where(chosen_NT, kept_NT, 0)
    return chosen


def _attention(
    own: Weights,
    part: folding.Attention,
    read_NT: Array,
    state: _State,
    at: Array | None,
) -> Array:
    """What the heads mix, [I, T], of queries at one place of each row if `at`."""
    query_NT, query_T = read_NT, state.position_T
    if at is not None:
        picked = np.arange(state.batch) * (len(query_T) // state.batch) + at
        query_NT, query_T = read_NT[:, picked], query_T[picked]

    def rows(site: Linear, read_NT: Array) -> Array:
        length = read_NT.shape[1] // state.batch
        shape = (len(site.kept_N), state.batch, length)
        return _sums(own.config, site, read_NT).reshape(shape)

    q_NBQ, k_NBL = rows(part.q, query_NT), rows(part.k, read_NT)
    v_NBL = rows(part.v, read_NT)
    place_BQ = query_T.reshape(state.batch, -1)
    mixes, sums = [], []
    for head in part.heads:
        value_NBL = v_NBL[head.value_N]
        if not len(head.query_N):
            mix_NBQ, sum_BQ = _evenly(own.config, head, value_NBL, place_BQ)
        else:
            scores = _scores(own.config, head, q_NBQ, k_NBL)
            mix_NBQ, sum_BQ = _mixed(head, scores, value_NBL, place_BQ)
        mixes.append(mix_NBQ.reshape(len(value_NBL), query_T.size))
        sums.append(sum_BQ.reshape(1, -1))
    if own.config.sink:
        mixes += sums
    return np.concatenate([*mixes, np.zeros((0, query_NT.shape[1]), np.float32)])


def _scores(
    config: ModelConfig, head: folding.Head, q_NBQ: Array, k_NBL: Array
) -> Array:
    """[B, Q, L]"""
    sides = []
    for x_NBL, place_N, mean_N in (
        (q_NBQ, head.query_N, head.query_mean_N),
        (k_NBL, head.key_N, head.key_mean_N),
    ):
        side = np.empty((len(place_N), *x_NBL.shape[1:]), np.float32)
        side[:] = mean_N[:, None, None]
        side[place_N >= 0] = x_NBL[place_N[place_N >= 0]]
        sides.append(side)
    root = np.float32(config.d_head**-0.5)
    found: Array = np.matmul(
        sides[0].transpose(1, 2, 0) * root, sides[1].swapaxes(0, 1)
    )
    return found if head.sink is None else found + head.score * root


def _mixed(
    head: folding.Head, scores_BQL: Array, value_NBL: Array, place_BQ: Array
) -> tuple[Array, Array]:
    """Softmax over the tokens up to the query's place; with a sink its sum is < 1."""
    later = np.arange(scores_BQL.shape[2]) > place_BQ[..., None]
    np.copyto(scores_BQL, -np.inf, where=later)
    largest_BQ1 = scores_BQL.max(-1, keepdims=True)
    if head.sink is not None:
        largest_BQ1 = np.maximum(largest_BQ1, np.float32(head.sink))
    scores_BQL -= largest_BQ1
    weight_BQL = np.exp(scores_BQL, out=scores_BQL)
    sum_BQ = weight_BQL.sum(-1)
    total_BQ = sum_BQ
    if head.sink is not None:
        total_BQ = sum_BQ + np.exp(np.float32(head.sink) - largest_BQ1[..., 0])
    mix_BQN = np.matmul(weight_BQL, value_NBL.transpose(1, 2, 0))
    return mix_BQN.transpose(2, 0, 1) / total_BQ, sum_BQ / total_BQ


def _evenly(
    config: ModelConfig, head: folding.Head, value_NBL: Array, place_BQ: Array
) -> tuple[Array, Array]:
    """Where no query or key is kept, a head attends to all tokens alike."""
    many_BQ = (place_BQ + 1).astype(np.float32)
    each_BQ = 1 / many_BQ
    if head.sink is not None:
        above = np.exp(np.float32(head.sink - head.score * config.d_head**-0.5))
        each_BQ = 1 / (many_BQ + above)
    sums_NBL = np.cumsum(value_NBL, -1)
    where_NBQ = np.broadcast_to(place_BQ, (len(value_NBL), *place_BQ.shape))
    mix_NBQ = np.take_along_axis(sums_NBL, where_NBQ, -1) * each_BQ
    return mix_NBQ, many_BQ * each_BQ


def _unembed(folded: Folded, state: _State) -> Array:
    """[T, V]"""
    own, rows, end = folded.weights, folded.table.rows, len(folded.sublayers)
    moving_M = own.moving_M
    kept_M = np.ones(len(moving_M), bool)
    if nodes.FINAL in own.keep:
        kept_M = own.keep[nodes.FINAL][moving_M]
    x_MT, moving_M = state.x_MT[kept_M], moving_M[kept_M]
    square_T = rows[end, "square"][state.key_T, 0] + np.square(x_MT).sum(0)
    scale_T = 1 / np.sqrt(square_T / own.config.d_model + np.float32(NORM_EPS))
    gain_M = own.params[(parameters.FINAL_NORM, parameters.GAIN)][moving_M]
    w_MV = own.params[(parameters.UNEMBED, parameters.W)][moving_M] * gain_M[:, None]
    logits_TV: Array = rows[end, "logits"][state.key_T]
    for part in folding.portions(w_MV.size, len(logits_TV)):
        logits_TV[part] += x_MT[:, part].T @ w_MV
        logits_TV[part] *= scale_T[part, None]
    if own.config.bigram != "none":
        logits_TV += own.params[(parameters.BIGRAM, parameters.TABLE)][state.token_T]
    if own.config.final_bias:
        logits_TV += own.params[(parameters.FINAL_BIAS, parameters.B)]
    return logits_TV
