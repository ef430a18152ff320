"""torch.compile beyond the battery, which asks of each case that it is read in one piece: lowered to torch's plain
operations for one case of each kind, and with code generation over a stack of every iterative inverse."""

import shutil

import pytest
import torch

from flowlib import Compose
from flowlib.transforms import Linear, Planar, Radial, Sylvester
from tests.battery.cases import CASES
from tests.battery.tools import assert_close, both_ways

KINDS = (
    "coupling-spline-2-halves",
    "made-affine-2",
    "transformer-affine-1",
    "residual-2",
    "glow-level-affine",
    "given-amortized-planar",
)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in KINDS], ids=lambda case: case.name)
def test_one_case_of_each_kind_is_lowered(case) -> None:
    transform, z = case.build(), case.z(4)
    for call, points in both_ways(transform, z):
        torch._dynamo.reset()
        for a, b in zip(torch.compile(call, fullgraph=True, backend="aot_eager")(points), call(points), strict=True):
            assert_close(a, b, 1e-10)


def test_each_kind_is_there() -> None:
    assert set(KINDS) <= {case.name for case in CASES}


@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch hands its library folder to the linker unquoted")
@pytest.mark.skipif(shutil.which("c++") is None, reason="code generation on a CPU needs a C++ compiler, none was found")
def test_a_stack_compiles_to_code_that_agrees(double) -> None:
    torch.manual_seed(0)
    stack, z = Compose([Planar(2), Radial(2), Linear(2, "qr"), Sylvester(2, 2)]), torch.randn(100, 2)
    for call in (stack.forward, stack.inverse):
        torch._dynamo.reset()
        for a, b in zip(torch.compile(call, fullgraph=True)(z), call(z), strict=True):
            assert torch.allclose(a, b, atol=1e-10)
