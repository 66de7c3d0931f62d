"""The table of a circuit's still channels (see folding.py), by token."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparsetx import nodes
from sparsetx.circuits.measure.inference import folding
from sparsetx.circuits.measure.inference.folding import Array, Reading, Weights
from sparsetx.model import parameters

ENTRIES = 2**26  # numbers that the table may hold
WINDOW = ("size", "index")  # of the channels near the k-th place


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
