"""What the checks of the battery share: their registry, tolerances, Jacobians by autograd, round trips."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from flowlib import Transform
from tests.battery.case import Case

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
MARGINS: list[float] = []  # error over bound of every comparison of the running check


class Checks(dict[str, Callable[[Case], None]]):
    """Checks by name. As a decorator it enters one: each takes a case and asserts, its name is what pytest shows."""

    def __call__(self, check: Callable[[Case], None]) -> Callable[[Case], None]:
        self[check.__name__.replace("_", " ")] = check
        return check


def both_ways(transform: Transform, z: Tensor) -> list[tuple[Callable, Tensor]]:
    """The two calls of a transform, each with points where it is defined."""
    x = transform(z)[0].detach()
    return [(transform.forward, z), (transform.inverse, x)]


def assert_close(value: Tensor, expected: Tensor, tolerance: float) -> None:
    """|value − expected| ≤ tolerance · (1 + |expected|), everywhere; the margin is written down."""
    assert value.shape == expected.shape
    error = ((value - expected).abs() / (1.0 + expected.abs())).max().item() if value.numel() else 0.0
    MARGINS.append(error / tolerance)
    assert error <= tolerance, f"error {error:.1e} is over {tolerance:.0e}"


def jacobian(call: Callable, points: Tensor) -> Tensor:
    """∂call/∂point at each point, (n, D, D), by autograd."""
    return vmap(jacrev(lambda point: call(point)[0].flatten()))(points).flatten(2)


def assert_round_trip(transform: Transform, z: Tensor, tolerance: float, ill_conditioned: bool = False) -> None:
    """z -> x -> z and opposite log-dets at the pair; where the map is ill-conditioned, x -> z -> x.

    What comes back to x is measured by the largest number of its point: sums of large numbers make small ones.
    """
    x, log_det = transform(z)
    z_again, log_det_back = transform.inverse(x)
    assert z_again.isfinite().all() and log_det_back.isfinite().all()
    if ill_conditioned:
        size = 1.0 + x.flatten(1).abs().amax(1).reshape(-1, *(1 for _ in transform.data_shape))
        assert_close(transform(z_again)[0] / size, x / size, tolerance)
        return
    assert_close(z_again, z, tolerance)
    assert_close(log_det_back, -log_det, tolerance)
