"""The one root finder: exact, bracketed, differentiable."""

import torch

from flowlib.support.roots import monotone_root

DOUBLE = torch.float64


def cubic(t):
    return t**3 + t, 3 * t.square() + 1


def test_a_grown_bracket_holds_far_roots() -> None:
    y = torch.tensor([-1e12, -2.0, -1e-300, 0.0, 0.5, 1.999, 2.001, 1e6, 1e15], dtype=DOUBLE)
    t = monotone_root(cubic, y)
    assert ((cubic(t)[0] - y).abs() / (1 + y.abs())).max() < 1e-14


def test_a_root_just_outside_the_first_bracket_is_found() -> None:
    y = torch.tensor([1.0 + 1e-9, -1.0 - 1e-9], dtype=DOUBLE)
    assert torch.allclose(monotone_root(lambda t: (t, torch.ones_like(t)), y), y, atol=1e-15)


def test_no_root_gives_nan_and_nan_gives_nan() -> None:
    sigmoid = lambda t: (torch.sigmoid(t), torch.sigmoid(t) * torch.sigmoid(-t))  # noqa: E731
    t = monotone_root(sigmoid, torch.tensor([2.0, 0.5, torch.nan], dtype=DOUBLE))
    assert t.isnan().tolist() == [True, False, True] and t[1].abs() < 1e-12


def test_derivatives_of_every_order_that_flows_need() -> None:
    y = torch.tensor([0.3, -2.0, 7.0], dtype=DOUBLE, requires_grad=True)
    scale = torch.tensor(1.5, dtype=DOUBLE, requires_grad=True)

    def root(y, scale):
        return monotone_root(lambda t: (scale * t**3 + t, 3 * scale * t.square() + 1), y)

    assert torch.autograd.gradcheck(root, (y, scale))
    assert torch.autograd.gradgradcheck(root, (y, scale))


def test_flat_and_steep_functions() -> None:
    y = torch.linspace(-3, 3, 301, dtype=DOUBLE)
    steep = lambda t: (1e6 * torch.tanh(t) + t, 1e6 * (1 - torch.tanh(t) ** 2) + 1)  # noqa: E731
    flat = lambda t: (t - 0.999 * torch.tanh(t), 1 - 0.999 * (1 - torch.tanh(t) ** 2))  # noqa: E731
    for f in (steep, flat):
        t = monotone_root(f, y)
        assert (f(t)[0] - y).abs().max() < 1e-9
