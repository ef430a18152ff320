"""torch.compile with code generation, once over a stack of every iterative inverse; the battery covers each family."""

import shutil

import pytest
import torch

from flowlib import Compose
from flowlib.transforms import Linear, Planar, Radial, Sylvester


@pytest.mark.skipif(" " in torch.__file__, reason="PyTorch hands its library folder to the linker unquoted")
@pytest.mark.skipif(shutil.which("c++") is None, reason="code generation on a CPU needs a C++ compiler, none was found")
def test_a_stack_compiles_to_code_that_agrees(double) -> None:
    torch.manual_seed(0)
    stack, z = Compose([Planar(2), Radial(2), Linear(2, "qr"), Sylvester(2, 2)]), torch.randn(100, 2)
    for call in (stack.forward, stack.inverse):
        torch._dynamo.reset()
        for a, b in zip(torch.compile(call, fullgraph=True)(z), call(z), strict=True):
            assert torch.allclose(a, b, atol=1e-10)
