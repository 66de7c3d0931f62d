"""The parameters of the model: one table of paths, shapes, sparsity and connections.

A parameter is listed once, with all that any other room wants to know of it: whether
it is stacked over layers, which kept fraction it follows, which axis numbers its
neurons or channels (the minimum of weights alive is counted along it), and, for the
matrices of a block, which nodes it joins. Matrices are [in, out]: x @ w. `check_tree`
holds a tree of arrays against the table and names every one that does not fit.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sparsetx import config as configuration
from sparsetx import nodes
from sparsetx.config import ModelConfig, RunConfig
from sparsetx.system import fields
from sparsetx.system.errors import refuse_all

# Top level of the tree.
EMBED = "embed"
POSITIONS = "positions"
BLOCKS = "blocks"
FINAL_NORM = "final_norm"
UNEMBED = "unembed"
BIGRAM = "bigram"
FINAL_BIAS = "final_bias"
# Inside a block.
ATTN_NORM = "attn_norm"
ATTN_POSITION_NORM = "attn_position_norm"
QKV = "qkv"
SINK = "sink"
O = "o"  # noqa: E741
MLP_NORM = "mlp_norm"
MLP_POSITION_NORM = "mlp_position_norm"
FC = "fc"
PROJ = "proj"
# Leaves.
W = "w"
B = "b"
GAIN = "gain"
LOGIT = "logit"
TABLE = "table"

Path = tuple[str, ...]


@dataclass(frozen=True)
class Parameter:
    """One array of the tree.

    `sparse` names the kept fraction that it follows, None if it is never projected;
    `neuron_axis` is the axis that numbers the neurons or channels whose own weights
    these are, None if no minimum is kept alive.
    """

    path: Path
    shape: tuple[int, ...]  # of one layer, if stacked
    stacked: bool
    kind: Literal["matrix", "bias", "gain", "table", "sink"]
    sparse: Literal["block", "embed", "bias"] | None = None
    neuron_axis: int | None = None

    @property
    def name(self) -> str:
        return "/".join(self.path)


@dataclass(frozen=True)
class Weights:
    """A part of a matrix that joins two node sites: the edges of a circuit.

    `columns` are its output channels within the matrix; attention stands between `v`
    and the write that reads it through the output matrix.
    """

    name: str
    path: Path
    columns: slice
    source: str
    target: str


def table(model: ModelConfig) -> tuple[Parameter, ...]:
    """Every parameter of the model, in the order of computation."""
    d, vocab = model.d_model, model.vocab_size
    found = [
        Parameter((EMBED, W), (vocab, d), False, "matrix", "embed"),
    ]
    if model.positions != "none":
        wide = model.d_pos or d
        found.append(Parameter((POSITIONS, W), (model.context, wide), False, "table"))
    found += list(_block(model))
    found.append(Parameter((FINAL_NORM, GAIN), (d,), False, "gain"))
    found.append(Parameter((UNEMBED, W), (d, vocab), False, "matrix", "embed"))
    if model.bigram != "none":
        found.append(Parameter((BIGRAM, TABLE), (vocab, vocab), False, "table"))
    if model.final_bias:
        found.append(Parameter((FINAL_BIAS, B), (vocab,), False, "bias"))
    return tuple(found)


def _block(model: ModelConfig) -> Iterator[Parameter]:
    d, read, attn, mlp = model.d_model, model.d_read, model.d_attn, model.d_mlp

    def matrix(name: str, rows: int, columns: int, neuron_axis: int) -> Parameter:
        path, shape = (BLOCKS, name, W), (rows, columns)
        return Parameter(path, shape, True, "matrix", "block", neuron_axis)

    def bias(name: str, wide: int) -> Parameter:
        return Parameter((BLOCKS, name, B), (wide,), True, "bias", "bias")

    def gain(name: str, wide: int) -> Parameter:
        return Parameter((BLOCKS, name, GAIN), (wide,), True, "gain")

    yield gain(ATTN_NORM, d)
    if model.d_pos:
        yield gain(ATTN_POSITION_NORM, model.d_pos)
    yield matrix(QKV, read, 3 * attn, 1)
    yield bias(QKV, 3 * attn)
    if model.sink:
        path = (BLOCKS, SINK, LOGIT)
        yield Parameter(path, (model.n_head,), True, "sink")
    yield matrix(O, attn, d, 0)
    yield bias(O, d)
    yield gain(MLP_NORM, d)
    if model.d_pos:
        yield gain(MLP_POSITION_NORM, model.d_pos)
    yield matrix(FC, read, mlp, 1)
    yield bias(FC, mlp)
    yield matrix(PROJ, mlp, d, 0)
    yield bias(PROJ, d)


def edges(model: ModelConfig) -> tuple[Weights, ...]:
    """The six kinds of weights between nodes, which a circuit counts as its edges."""
    n = model.d_attn
    qkv, whole = (BLOCKS, QKV, W), slice(None)
    return (
        Weights("W_q", qkv, slice(0, n), nodes.ATTN_IN, nodes.Q),
        Weights("W_k", qkv, slice(n, 2 * n), nodes.ATTN_IN, nodes.K),
        Weights("W_v", qkv, slice(2 * n, 3 * n), nodes.ATTN_IN, nodes.V),
        Weights("W_o", (BLOCKS, O, W), whole, nodes.V, nodes.ATTN_OUT),
        Weights("W_fc", (BLOCKS, FC, W), whole, nodes.MLP_IN, nodes.MLP_NEURON),
        Weights("W_proj", (BLOCKS, PROJ, W), whole, nodes.MLP_NEURON, nodes.MLP_OUT),
    )


def full_shape(model: ModelConfig, parameter: Parameter) -> tuple[int, ...]:
    """With the leading layer axis, where there is one."""
    layers = (model.n_layer,) if parameter.stacked else ()
    return layers + parameter.shape


def leaves(tree: Mapping[str, Any], prefix: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, array) of a tree of nested dicts."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


def replaced(tree: Mapping[str, Any], new: Mapping[Path, Any]) -> dict[str, Any]:
    """The tree with some of its leaves exchanged."""

    def walk(branch: Mapping[str, Any], prefix: Path) -> dict[str, Any]:
        return {
            key: walk(value, (*prefix, key))
            if isinstance(value, Mapping)
            else new.get((*prefix, key), value)
            for key, value in branch.items()
        }

    return walk(tree, ())


def check_tree(model: ModelConfig, tree: Mapping[str, Any], what: str) -> None:
    """Refuse a tree that lacks a parameter, has one too many, or one of other shape."""
    wanted = {p.path: full_shape(model, p) for p in table(model)}
    found = dict(leaves(tree))
    names = ["/".join(path) for path in wanted]
    offences = [
        f"{'/'.join(path)}: missing (wanted shape {shape})"
        for path, shape in wanted.items()
        if path not in found
    ]
    for path, array in found.items():
        name = "/".join(path)
        if path not in wanted:
            offences.append(f"{name}: not in the table; {fields.near(name, names)}")
        elif tuple(array.shape) != wanted[path]:
            offences.append(f"{name}: wanted shape {wanted[path]}, got {array.shape}")
    refuse_all(what, offences)


def check(run: RunConfig, what: str = "this configuration cannot be used") -> None:
    """Refuse a run's configuration with everything that is wrong with it."""
    found = list(configuration.offences(run))
    if not found:  # widths and budgets of a broken shape would only confuse
        found = [*nodes.site_offences(run.model, "model."), *_starved(run)]
    refuse_all(what, found)


def check_model(model: ModelConfig, what: str = "this model cannot be built") -> None:
    """The same for a model alone."""
    found = [*fields.offences(model), *configuration.model_rules(model)]
    refuse_all(what, found or nodes.site_offences(model, ""))


def _starved(run: RunConfig) -> Iterator[str]:
    """Matrices whose budget cannot keep the wanted weights of every neuron alive."""
    fraction = run.sparsity.kept_block(run.model.d_model)
    for parameter in table(run.model):
        if parameter.neuron_axis is None:
            continue
        neurons = parameter.shape[parameter.neuron_axis]
        own = parameter.shape[1 - parameter.neuron_axis]
        wanted = min(run.sparsity.alive, own) * neurons
        budget = int(fraction * own * neurons)
        if wanted > budget:
            yield (
                f"sparsity.alive = {run.sparsity.alive}: {parameter.name} keeps "
                f"{budget:,} weights (fraction {fraction:.4g} of {own} x {neurons}), "
                f"too few for {wanted:,}; wanted alive <= {budget // neurons}, or a "
                f"fraction >= {wanted / (own * neurons):.4g}"
            )
