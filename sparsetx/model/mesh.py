"""How arrays lie on devices: data x fsdp, and nothing else.

Every matrix is sharded along the axis of its neurons or channels, so that the minimum
each of them keeps alive is found without asking another device; never along layers,
over which the model scans. There is no tensor axis: AbsTopK spans all heads. Batches
are split over both axes. Only this file names mesh axes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sparsetx.config import MeshConfig, ModelConfig
from sparsetx.model import parameters
from sparsetx.model.parameters import Parameter
from sparsetx.system.errors import Refusal

DATA = "data"
FSDP = "fsdp"
LANE = "lane"  # of a search for circuits: whole models side by side
# From how many MiB of a product on a weight is multiplied part by part.
WINDOWED, NEVER = "xla_jf_spmd_threshold_for_windowed_einsum_mib", "1000000"


def make(
    config: MeshConfig, batch: int, devices: Sequence[jax.Device] | None = None
) -> Mesh:
    """The mesh of all devices (or of those given), for batches (or parts of one) of so
    many sequences."""
    devices = jax.devices() if devices is None else devices
    count = len(devices)
    data = config.data or count // config.fsdp
    if data * config.fsdp != count or data == 0:
        raise Refusal(
            f"mesh.data x mesh.fsdp = {config.data or '(the rest)'} x {config.fsdp} "
            f"does not fit {count} devices: wanted their product to be {count}"
        )
    if batch % count:
        raise Refusal(
            f"{batch} sequences at a time do not divide over {count} devices: wanted "
            "train.batch / train.accumulate to be a multiple of the device count"
        )
    sizes, axis_types = (data, config.fsdp), (AxisType.Auto, AxisType.Auto)
    return jax.make_mesh(sizes, (DATA, FSDP), axis_types=axis_types, devices=devices)


def compiler_options(platform: str | None = None) -> dict[str, str]:
    """For programs over a mesh. A TPU's compiler would not gather a weight that is
    divided among chips, but multiply with part after part as these are passed round:
    over a thousand small exchanges in a step. Gathered whole, layer by layer and in the
    compute type, weights are fewer bytes, and products fuse with what is around them.
    """
    own = jax.default_backend() if platform is None else platform
    return {WINDOWED: NEVER} if own == "tpu" else {}


def platform_of(mesh: Mesh) -> str:
    """Of its devices, which need not be attached."""
    return str(mesh.devices.flat[0].platform)


def batch_sharding(mesh: Mesh) -> NamedSharding:
    """Sequences over all devices."""
    return NamedSharding(mesh, PartitionSpec((DATA, FSDP)))


def replicated(mesh: Mesh) -> NamedSharding:
    return NamedSharding(mesh, PartitionSpec())


def cut_whole(mesh: Mesh, rank: int, axis: int) -> NamedSharding:
    """One axis of an array over all devices of both axes."""
    own = [(DATA, FSDP) if i == axis else None for i in range(rank)]
    return NamedSharding(mesh, PartitionSpec(*own))


def parameter_spec(mesh: Mesh, parameter: Parameter) -> PartitionSpec:
    """Where a parameter is cut: its neurons, else the last axis that divides.

    Vectors are small; every device has them whole.
    """
    shards = mesh.shape[FSDP]
    axes = list(reversed(range(len(parameter.shape))))
    if parameter.neuron_axis is not None:
        axes.insert(0, parameter.neuron_axis)
    cut = None
    if parameter.kind in ("matrix", "table") and shards > 1:
        cut = next((a for a in axes if parameter.shape[a] % shards == 0), None)
    own = [FSDP if axis == cut else None for axis in range(len(parameter.shape))]
    return PartitionSpec(*[None] * parameter.stacked, *own)


def tree_shardings(mesh: Mesh, model: ModelConfig, tree: Any) -> Any:
    """Shardings for a tree of parameters, or anything that holds such trees.

    A leaf is recognised by the end of its path: Adam's moments lie as their parameters
    do. Whatever is not a parameter (counts, scalars) is replicated.
    """
    specs = {p.path: parameter_spec(mesh, p) for p in parameters.table(model)}
    shapes = {p.path: parameters.full_shape(model, p) for p in parameters.table(model)}

    def place(path: Any, leaf: Any) -> NamedSharding:
        names = tuple(str(getattr(k, "key", "")) for k in path)
        for start in range(len(names)):
            tail = names[start:]
            if tail in specs and leaf.shape == shapes[tail]:
                return NamedSharding(mesh, specs[tail])
        return replicated(mesh)

    return jax.tree_util.tree_map_with_path(place, tree)


def spread(x: jax.Array) -> jax.Array:
    """Keep a batch of activations split over all devices, where there is a mesh."""
    if DATA not in jax.sharding.get_abstract_mesh().axis_names:
        return x
    split = PartitionSpec((DATA, FSDP))
    held: jax.Array = jax.lax.with_sharding_constraint(x, split)
    return held


def each_by_itself(f: Callable[..., Any], tree: Any, *whole: Any) -> Any:
    """`f` of a batch of activations, where rows have nothing to do with each other:
    each device sees to its own. A loop in it that stops early then asks no other
    device whether it may; on a pod that question costs more than the work. What is
    given as `whole` goes to every device."""
    if DATA not in jax.sharding.get_abstract_mesh().axis_names:
        return f(tree, *whole)
    split, everywhere = PartitionSpec((DATA, FSDP)), PartitionSpec()
    specs = (split, *[everywhere] * len(whole))
    alone = jax.shard_map(f, in_specs=specs, out_specs=split, check_vma=False)
    return alone(tree, *whole)


def portions(count: int, many: int) -> Iterator[npt.NDArray[np.integer]]:
    """Which of `count` lanes, or rows, a program takes at a time: as many every time,
    the last again where there are none left, so that one program serves any count."""
    for first in range(0, count, many):
        yield np.minimum(np.arange(first, first + many), count - 1)


class OverLanes:
    """`f` compiled so that every device does its share of the lanes: the first `whole`
    arguments go to all of them, the others are cut along their first axis, as is what
    comes out. No device hears of another."""

    def __init__(
        self, f: Callable[..., Any], devices: Sequence[jax.Device], whole: int
    ) -> None:
        row = Mesh(np.array(devices), (LANE,), axis_types=(AxisType.Auto,))
        everywhere, cut = PartitionSpec(), PartitionSpec(LANE)
        self.whole = whole
        self.everywhere = NamedSharding(row, everywhere)
        self.cut = NamedSharding(row, cut)

        @jax.jit
        def spread_out(*args: Any) -> Any:
            specs = (everywhere,) * whole + (cut,) * (len(args) - whole)
            shared = jax.shard_map(
                f, mesh=row, in_specs=specs, out_specs=cut, check_vma=False
            )
            return shared(*args)

        self.spread_out = spread_out

    def __call__(self, *args: Any) -> Any:
        """Laid out the same way whoever made them, or each layout compiles anew."""
        shared = self.shared(args[: self.whole])
        own = jax.device_put(args[self.whole :], self.cut)
        return self.spread_out(*shared, *own)

    def shared(self, tree: Any) -> Any:
        """Arrays on all devices, as the program wants those that all lanes share. Of
        arrays that lie so a call makes no copy."""
        return jax.device_put(tree, self.everywhere)

    def lower(self, *shapes: Any) -> Any:
        """The program for arrays of these shapes, without any array."""
        shared = with_sharding(shapes[: self.whole], self.everywhere)
        own = with_sharding(shapes[self.whole :], self.cut)
        return self.spread_out.lower(*shared, *own)


def with_sharding(shapes: Any, where: Any) -> Any:
    """Shapes of arrays that lie so; `where` is one sharding, or a tree of them."""

    def placed(shape: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

    if isinstance(where, NamedSharding):
        return jax.tree.map(lambda shape: placed(shape, where), shapes)
    return jax.tree.map(placed, shapes, where)
