"""Parsing a module's text: shapes, padding to tiles, instructions."""

import pytest

from sparsetx.aot import flops, hlo, operation_counts
from tests.counted import recorded


@pytest.mark.parametrize(
    ("text", "sizes", "held", "stored", "on_chip"),
    [
        ("f32[8,128]{1,0:T(8,128)}", (8, 128), 4096, 4096, False),
        ("f32[8,100]{1,0:T(8,128)}", (8, 100), 3200, 4096, False),
        ("f32[100,8]{0,1:T(8,128)}", (100, 8), 3200, 4096, False),
        ("s32[4,8,1]{1,2,0:T(1,128)S(1)}", (4, 8, 1), 128, 2048, True),
        ("bf16[3,9,128]{2,1,0:T(8,128)(2,1)}", (3, 9, 128), 6912, 12288, False),
        ("f32[1000]{0:T(1024)}", (1000,), 4000, 4096, False),
        ("pred[]{:T(512)}", (), 1, 1, False),
        ("f32[2,3]{1,0:S(5)}", (2, 3), 24, 24, False),
        ("f32[7]", (7,), 28, 28, False),
    ],
)
def test_a_shape(
    text: str, sizes: tuple[int, ...], held: int, stored: int, on_chip: bool
) -> None:
    (shape,) = hlo.shapes_of(text)
    assert (shape.sizes, shape.bytes, shape.stored) == (sizes, held, stored)
    assert shape.on_chip == on_chip


def test_instructions_have_their_parts() -> None:
    module = hlo.parse(
        """HloModule m, is_scheduled=true

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], /*index=1*/f32[4]{0}) parameter(0)
  ROOT %same = (s32[], f32[4]{0}) copy(%p)
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  ROOT %f.1 = f32[4]{0:T(8,128)} fusion(%a, %a), kind=kLoop, calls=%body, slice={[0:4]}
}
"""
    )
    assert module.entry.name == "main"
    assert set(module.computations) == {"body", "main"}
    one = module.entry.root
    assert (one.name, one.opcode, one.operands) == ("f.1", "fusion", ("a", "a"))
    assert one.called("calls") == ["body"]
    assert one.attribute("slice") == "[0:4]"
    assert one.attribute("metadata") is None
    assert len(module.computations["body"].root.shapes) == 2


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no ENTRY"):
        hlo.parse("HloModule nothing\n")


def test_a_whole_module_of_the_tpu_compiler_is_read() -> None:
    """Every line of a computation is an instruction, and every operand is found."""
    text = recorded.FILE.read_text()
    module = hlo.parse(text)
    lines = [line for line in text.splitlines() if " = " in line]
    found = [i for c in module.computations.values() for i in c.instructions]
    bodies = [line for line in lines if line.startswith("  ")]
    assert len(found) == len(bodies) > 300
    for computation in module.computations.values():
        for one in computation.instructions:
            assert len(computation.operands(one)) == len(one.operands), one


STATING = """HloModule m

ENTRY %main (x: bf16[8,128]) -> bf16[8,128] {
  %x = bf16[8,128]{1,0} parameter(0)
  %mixed.1 = bf16[8,128]{1,0} custom-call(%x), custom_call_target="tpu_custom_call", \
frontend_attributes={kernel_metadata={
"passes":"8.0",
"vector":"0.25"
}}, metadata={op_name="f"}, backend_config={"custom_call_config":{"cost_estimate":\
{"flops":"4000","transcendentals":"6","bytes_accessed":"7"}}}
  ROOT %other.2 = bf16[8,128]{1,0} custom-call(%mixed.1), custom_call_target="Sharding"
}
"""


def test_a_kernel_counts_as_it_states() -> None:
    """Its statement spans lines; a custom call without one counts nothing."""
    module = hlo.parse(STATING)
    inside = module.entry
    kernel, other = inside.by_name["mixed.1"], inside.by_name["other.2"]
    assert kernel.operands == ("x",)
    assert flops.products(module, inside, kernel) == 4000
    assert flops.products(module, inside, kernel, passes=True) == 32000
    assert flops.vector(module, inside, kernel) == 1000
    assert flops.products(module, inside, other) == 0
    assert flops.vector(module, inside, other) == 0
    assert operation_counts.tally(STATING).calls("mixed")
