# ruff: noqa: E501
"""What pixel models refuse, and in which words."""

import pytest
import torch
from torch import Tensor

from flowlib.models import real_nvp
from flowlib.pixels.pixel_flow import PixelFlow, UniformDequantize, VariationalDequantize
from tests.pixels.flows import noise_flow, normal_flow


def model(levels: int = 17) -> PixelFlow:
    return PixelFlow(normal_flow((1, 2, 2)), levels)


def images(low: int = 0, high: int = 16) -> Tensor:
    return torch.tensor([low, 1, 2, high]).reshape(1, 2, 2)


EXPECTED = "PixelFlow expects whole-number pixels of shape (..., 1, 2, 2) with values 0 to 16; got "
BAD = [
    (TypeError, lambda: model().log_prob(images().float()), EXPECTED + "dtype torch.float32. Give them as they are stored: the model itself divides and adds noise."),
    (TypeError, lambda: model().log_prob(images() > 1), EXPECTED + "dtype torch.bool. Convert with .to(torch.uint8)"),
    (TypeError, lambda: model().log_prob(images().tolist()), EXPECTED + "list. Convert with torch.as_tensor(..., dtype=torch.uint8) first."),
    (ValueError, lambda: model().log_prob(images(high=17)), EXPECTED + "values from 0 to 17. Map them to 0, ..., 16, or build the model with levels=18."),
    (ValueError, lambda: model().bits_per_dim(images(high=255).to(torch.uint8)), EXPECTED + "values from 0 to 255. Map them to 0, ..., 16, or build the model with levels=256."),
    (ValueError, lambda: model().bound(images(low=-1), 3), EXPECTED + "values from -1 to 16. Map them to 0, ..., 16, or leave those images out."),
    (ValueError, lambda: model().ledger(images(high=300)), EXPECTED + "values from 0 to 300. Map them to 0, ..., 16, or leave those images out."),
    (ValueError, lambda: model(256).log_prob(images(low=-5)), "with values 0 to 255; got values from -5 to 16."),
    (ValueError, lambda: model().log_prob(images().reshape(2, 2)), EXPECTED + "shape (2, 2)."),
    (ValueError, lambda: model().ledger(torch.zeros(0, 1, 2, 2, dtype=torch.uint8)), "ledger: a mean over no images; give at least one."),
    (ValueError, lambda: model().bound(images(), 0), "PixelFlow.bound: k must be a whole number, 1 or more; got 0"),
    (ValueError, lambda: model().sample(-1), "n must be a whole number, 0 or more; got -1"),
    (ValueError, lambda: model().sample(2, temperature=-1), "temperature must be a finite number, 0 or more; got -1"),
    (ValueError, lambda: model(1), "levels must be a whole number, 2 or more; got 1"),
    (ValueError, lambda: model(257), "UniformDequantize: levels must be at most 256, the values of a uint8; got 257."),
    (ValueError, lambda: UniformDequantize((1, 0, 2), 17), "UniformDequantize: each number of shape must be a whole number, 1 or more; got 0"),
    (TypeError, lambda: UniformDequantize((1, 2, 2), 17)(images().float()), "UniformDequantize expects whole-number pixels"),
    (TypeError, lambda: PixelFlow("glow", 17), "PixelFlow expects a Flow first, e.g. glow((1, 8, 8)); got str."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, "gaussian"), "dequantize must be 'uniform' or a module, e.g. VariationalDequantize(shape, levels, flow); got 'gaussian'."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, UniformDequantize((1, 2, 2), 16)), "levels is 17; dequantize takes shape (1, 2, 2) and 16 levels. Give both the same."),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, alpha=0.0), "PixelLogit: alpha must be a finite number greater than 0; got 0.0"),
    (ValueError, lambda: PixelFlow(normal_flow((1, 2, 2)), 17, alpha=0.5), "PixelLogit: alpha must be below 1/2, or nothing is left between the rims; got 0.5."),
    (TypeError, lambda: VariationalDequantize((1, 2, 2), 17, "flow"), "VariationalDequantize expects a Flow third, q(v | x); got str."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, noise_flow(3)), "takes noise of 4 numbers; the flow gives points of shape (3,)."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, real_nvp(dim=4)), "a context of 4 numbers; it takes no context. Build it with context_dim=4."),
    (ValueError, lambda: VariationalDequantize((1, 2, 2), 17, real_nvp(dim=4, context_dim=3)), "a context of 4 numbers; it takes a context of 3. Build it with context_dim=4."),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "call", "message"), BAD, ids=[message[-60:] for _, _, message in BAD])
def test_bad_input(kind, call, message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
