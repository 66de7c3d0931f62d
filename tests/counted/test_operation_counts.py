"""Counts of programs against counts known by other means."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from sparsetx import topk
from sparsetx.aot import hlo, loop_trips, operation_counts
from tests.counted import recorded


def text_of(f: Any, *shapes: tuple[int, ...]) -> str:
    """Of a function compiled for a CPU."""
    given = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return str(jax.jit(f).lower(*given).compile().as_text())


@settings(max_examples=8)
@given(
    outer=st.integers(2, 5),
    inner=st.integers(2, 5),
    sizes=st.tuples(*[st.integers(16, 40)] * 3),
)
def test_products_in_loops_in_loops(
    outer: int, inner: int, sizes: tuple[int, int, int]
) -> None:
    """The compiler's own count has each body once."""
    rows, wide, last = sizes

    def f(x: jax.Array, a: jax.Array, b: jax.Array) -> jax.Array:
        def within(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.tanh(x @ a), None

        def around(x: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
            x, _ = jax.lax.scan(within, x, length=inner)
            return x, x @ b

        return jax.lax.scan(around, x, length=outer)[1]

    found = operation_counts.tally(text_of(f, (rows, wide), (wide, wide), (wide, last)))
    often = 2 * rows * wide * (inner * wide + last)
    assert found.products == outer * often
    assert not found.unknown
    assert not found.bounded
    assert found.vector >= outer * inner * rows * wide  # the tanh


def test_a_loop_that_may_stop_early_is_counted_to_its_end() -> None:
    text = text_of(lambda x: topk.keep_largest(x, 5, axis=-1), (64, 32))
    found = operation_counts.tally(text)
    assert (len(found.bounded), found.unknown) == (3, [])
    module = hlo.parse(text)
    lengths = {
        known.count
        for computation in module.computations.values()
        for one in computation.instructions
        if one.opcode == "while"
        if (known := loop_trips.of(module, computation, one))
    }
    # The bits of both halves of a float's magnitude, and of a place among 32.
    assert lengths == {15, 16, 6}


@pytest.mark.parametrize("ks", [[3, 5], [3]])
def test_lanes_side_by_side_share_the_bound(ks: list[int]) -> None:
    """A single lane's counter, and its bound, are arrays of one."""
    lanes = jax.vmap(functools.partial(topk.keep_largest, axis=-1))
    shape = (len(ks), 64, 32)
    found = operation_counts.tally(text_of(lambda x: lanes(x, jnp.array(ks)), shape))
    assert (len(found.bounded), found.unknown) == (3, [])


def test_a_loop_of_unknown_length_is_said_to_be_one() -> None:
    def f(x: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda x: jnp.sum(x) > 1, lambda x: x / 2, x)

    assert len(operation_counts.tally(text_of(f, (8,))).unknown) == 1


def test_of_branches_the_largest_counts() -> None:
    def f(x: jax.Array) -> jax.Array:
        return jax.lax.cond(
            x[0, 0] > 0, lambda: x @ x @ x, lambda: jnp.tanh(x @ x) @ x @ x
        )

    assert operation_counts.tally(text_of(f, (32, 32))).products == 3 * 2 * 32**3


@pytest.mark.parametrize("length", [1, 7])
def test_exchanges_in_loops(length: int) -> None:
    """A sum over devices in every trip."""
    mesh = jax.make_mesh((8,), ("x",), axis_types=(AxisType.Auto,))
    cut = NamedSharding(mesh, PartitionSpec(None, "x"))
    whole = NamedSharding(mesh, PartitionSpec())

    def f(w: jax.Array, x: jax.Array) -> jax.Array:
        def add(total: jax.Array, scale: jax.Array) -> tuple[jax.Array, None]:
            summed = jax.lax.with_sharding_constraint((w * scale) @ x, whole)
            return jnp.tanh(total + summed), None

        return jax.lax.scan(add, jnp.zeros((16, 4)), jnp.arange(float(length)))[0]

    w = jax.ShapeDtypeStruct((16, 64), jnp.float32, sharding=cut)
    rows = NamedSharding(mesh, PartitionSpec("x"))
    x = jax.ShapeDtypeStruct((64, 4), jnp.float32, sharding=rows)
    found = operation_counts.tally(jax.jit(f).lower(w, x).compile().as_text(), 8)
    assert found.by_kind == {"all-reduce": (length * 16 * 4 * 4, length)}
    assert found.largest == 16 * 4 * 4
    assert {one.devices for one in found.exchanges} == {8}


def test_what_the_tpu_compiler_wrote() -> None:
    """Products that it wrote as dilated convolutions, once forwards and twice as often
    backwards in every layer; the gradient of each layer added up by itself."""
    found = operation_counts.tally(recorded.FILE.read_text(), 4)
    assert found.products == recorded.PRODUCTS
    size, _ = found.by_kind["all-reduce"]
    assert recorded.GRADIENT <= size <= recorded.GRADIENT + 1024
    assert found.largest == recorded.GRADIENT / recorded.LAYERS
    assert not found.unknown


REPLICAS = [
    ("replica_groups={{0,1,2,3},{4,5,6,7}}", 4),
    ("replica_groups=[2,4]<=[8]", 4),
    ("replica_groups=[4,2]<=[2,4]T(1,0), use_global_device_ids=true", 2),
    ("replica_groups=mesh['a'=2,'b'=4] {'b'}, use_global_device_ids=true", 4),
    ("replica_groups=mesh['a'=2,'b'=4] {'a','b'}", 8),
    ("replica_groups={}", 16),
]


@pytest.mark.parametrize(("written", "devices"), REPLICAS)
def test_who_exchanges_with_whom(written: str, devices: int) -> None:
    text = f"""HloModule m

ENTRY %main (a: f32[4]) -> f32[4] {{
  %a = f32[4]{{0}} parameter(0)
  ROOT %r = f32[4]{{0}} all-reduce(%a), channel_id=1, {written}, to_apply=%add
}}
"""
    (one,) = operation_counts.tally(text, 16).exchanges
    assert (one.kind, one.devices, one.bytes) == ("all-reduce", devices, 16)


KINDS = [
    (
        "all-gather-start",
        "(f32[4]{0}, f32[16]{0}) all-gather-start(%a), replica_groups={}",
        ("all-gather", 64.0, False),
    ),
    (
        "permute",
        "(f32[4]{0}, f32[4]{0}, u32[], u32[]) collective-permute-start(%a)",
        ("collective-permute", 16.0, False),
    ),
    (
        "scattered sum",
        "f32[1]{0} fusion(%a), kind=kCustom, calls=%all-reduce-scatter.1",
        ("reduce-scatter", 4.0, True),
    ),
    ("a pair", "(f32[4]{0}, f32[4]{0}) all-reduce(%a, %a)", ("all-reduce", 32.0, True)),
]


@pytest.mark.parametrize(("written", "wanted"), [k[1:] for k in KINDS])
def test_every_kind_of_exchange(written: str, wanted: tuple[str, float, bool]) -> None:
    text = f"""HloModule m

%all-reduce-scatter.1 (p: f32[4]) -> f32[1] {{
  %p = f32[4]{{0}} parameter(0)
  %all = f32[4]{{0}} all-reduce(%p), replica_groups={{{{0,1,2,3}}}}, to_apply=%add
  ROOT %own = f32[1]{{0}} slice(%all), slice={{[0:1]}}
}}

ENTRY %main (a: f32[4]) -> f32[4] {{
  %a = f32[4]{{0}} parameter(0)
  ROOT %r = {written}
}}
"""
    (one,) = operation_counts.tally(text, 4).exchanges
    assert (one.kind, one.bytes, one.waits) == wanted


def test_pieces_of_one_exchange_between_products_are_one() -> None:
    """Begun in one fusion, it goes on beside the products of another."""
    text = """HloModule m

%start (p: f32[4]) -> (f32[4], f32[16]) {
  %p = f32[4]{0} parameter(0)
  %g.1 = f32[16]{0} all-gather(%p), channel_id=7, frontend_attributes={chain_id="5"}
  ROOT %c = (f32[4]{0}, f32[16]{0}) custom-call(%g.1), custom_call_target="Begin"
}

%on (q: f32[4], w: f32[8,8]) -> (f32[4], f32[8,8]) {
  %q = f32[4]{0} parameter(0)
  %w = f32[8,8]{1,0} parameter(1)
  %g.2 = f32[16]{0} all-gather(%q), channel_id=7, frontend_attributes={chain_id="5"}
  %d = f32[8,8]{1,0} dot(%w, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  ROOT %t = (f32[4]{0}, f32[8,8]{1,0}) tuple(%q, %d)
}

ENTRY %main (a: f32[4], m: f32[8,8]) -> f32[8,8] {
  %a = f32[4]{0} parameter(0)
  %m = f32[8,8]{1,0} parameter(1)
  %f.1 = (f32[4]{0}, f32[16]{0}) fusion(%a), kind=kCustom, calls=%start
  %f.2 = (f32[4]{0}, f32[8,8]{1,0}) fusion(%a, %m), kind=kOutput, calls=%on
  ROOT %r = f32[8,8]{1,0} get-tuple-element(%f.2), index=1
}
"""
    found = operation_counts.tally(text, 4)
    (one,) = found.exchanges
    assert (one.kind, one.bytes, one.waits, one.name) == (
        "all-gather",
        64,
        False,
        "f.1",
    )
    assert found.products == 2 * 8**3
    fused = next(w for w in found.work if w.name == "f.2")
    assert fused.hbm == 2 * 8 * 8 * 4  # the exchange is counted separately


HBM = [
    ("f32[8,128]{1,0} add(%big, %big)", 3 * 4096),
    ("f32[8,128]{1,0:S(1)} add(%big, %near)", 4096),
    ("f32[1,128]{1,0} slice(%big), slice={[0:1], [0:128]}", 2 * 512),
    ("f32[8,128]{1,0} dynamic-update-slice(%big, %row, %zero, %zero)", 2 * 512),
    ("(f32[8,128]{1,0:S(1)}, f32[8,128]{1,0}, u32[]) copy-start(%big)", 4096),
    ("f32[1,128]{1,0:S(1)} fusion(%stack, %zero), kind=kLoop, calls=%sliced", 512),
    ("f32[8,128]{1,0} fusion(%big, %row), kind=kLoop, calls=%updated", 2 * 512),
    ("f32[8,128]{1,0} bitcast(%big)", 0),
]


@pytest.mark.parametrize(("written", "bytes_moved"), HBM)
def test_bytes_to_and_from_hbm(written: str, bytes_moved: int) -> None:
    """A slice costs a slice, an update in place what is new, and the core's own memory
    nothing."""
    text = f"""HloModule m

%sliced (p: f32[64,128], i: s32[]) -> f32[1,128] {{
  %p = f32[64,128]{{1,0}} parameter(0)
  %i = s32[] parameter(1)
  %part = f32[1,128]{{1,0}} dynamic-slice(%p, %i, %i), dynamic_slice_sizes={{1,128}}
  ROOT %twice = f32[1,128]{{1,0:S(1)}} add(%part, %part)
}}

%updated (q: f32[8,128], r: f32[1,128]) -> f32[8,128] {{
  %q = f32[8,128]{{1,0}} parameter(0)
  %r = f32[1,128]{{1,0}} parameter(1)
  %z = s32[] constant(0)
  ROOT %new = f32[8,128]{{1,0}} dynamic-update-slice(%q, %r, %z, %z)
}}

ENTRY %main (big: f32[8,128]) -> f32[8,128] {{
  %big = f32[8,128]{{1,0}} parameter(0)
  %near = f32[8,128]{{1,0:S(1)}} parameter(1)
  %row = f32[1,128]{{1,0}} parameter(2)
  %stack = f32[64,128]{{1,0}} parameter(3)
  %zero = s32[]{{:S(1)}} constant(0)
  ROOT %r = {written}
}}
"""
    assert operation_counts.tally(text).hbm == bytes_moved


CONVOLUTIONS = [
    ("f32[8,16] convolution(%a, %b), dim_labels=bf_io->bf", (8, 32), (32, 16)),
    ("f32[8,16] convolution(%a, %b), dim_labels=bf_oi->bf", (8, 32), (16, 32)),
    (
        "f32[4,8,16] convolution(%a, %b), window={size=4 stride=3 lhs_dilate=4}, "
        "dim_labels=0bf_0io->0bf",
        (4, 8, 32),
        (4, 32, 16),
    ),
    (
        "f32[8,16,1] convolution(%a, %b), window={size=4}, dim_labels=0fb_0io->bf0",
        (4, 32, 8),
        (4, 32, 16),
    ),
]


@pytest.mark.parametrize(("written", "left", "right"), CONVOLUTIONS)
def test_products_written_as_convolutions(
    written: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    """A plain product, one against a transposed matrix, a batch of four products, and
    one that sums over the batch too."""
    a, b = (",".join(map(str, sizes)) for sizes in (left, right))
    text = f"""HloModule m

ENTRY %main (a: f32[{a}]) -> f32[8] {{
  %a = f32[{a}] parameter(0)
  %b = f32[{b}] parameter(1)
  ROOT %r = {written}
}}
"""
    batches = 4 if len(left) == 3 else 1
    assert operation_counts.tally(text).products == batches * 2 * 8 * 32 * 16


@pytest.mark.parametrize("pad", [(0, 0), (1, 1), (2, 0)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("spread", [1, 3])
def test_places_of_a_window_that_meet_an_element(
    pad: tuple[int, int], stride: int, spread: int
) -> None:
    """Against a sum over the window of an array that is 1 where there is an element."""
    source, kernel = 6, 3
    there = np.zeros((source - 1) * spread + 1)
    there[::spread] = 1
    there = np.pad(there, pad)
    places = range(0, len(there) - kernel + 1, stride)
    out = len(places)
    meet = int(sum(there[p : p + kernel].sum() for p in places))
    text = f"""HloModule m

ENTRY %main (a: f32[1,1,{source}]) -> f32[1,1,{out}] {{
  %a = f32[1,1,{source}] parameter(0)
  %b = f32[1,1,{kernel}] parameter(1)
  ROOT %r = f32[1,1,{out}] convolution(%a, %b), window={{size={kernel} stride={stride} \
pad={pad[0]}_{pad[1]} lhs_dilate={spread}}}, dim_labels=bf0_io0->bf0
}}
"""
    assert operation_counts.tally(text).products == 2 * meet
