"""Checks of the derivatives: finite, right to second order through the inverse, under compile and vmap, in training."""

import copy

import torch
from torch import Tensor
from torch.func import jacrev, vmap

from tests.battery.case import Case
from tests.battery.tools import Checks, assert_close, both_ways, jacobian

check = Checks()


@check
def gradients_are_finite(case: Case) -> None:
    for radius in (0.0, 1.0, 1000.0):
        transform, z = case.build(), case.z(10, radius=radius)
        for call, points in both_ways(transform, z):
            points = points.clone().requires_grad_()
            value, log_det = call(points)
            wanted = [points, *transform.parameters()]
            for output in (value.sum(), log_det.sum()):
                if output.requires_grad:
                    for gradient in torch.autograd.grad(output, wanted, retain_graph=True, allow_unused=True):
                        assert gradient is None or gradient.isfinite().all()


@check
def inverse_is_differentiable(case: Case) -> None:
    transform, z = case.build(), case.z(5)
    x = transform(z)[0].detach()
    product = jacobian(transform.inverse, x) @ jacobian(transform.forward, z)
    assert_close(product, torch.eye(case.dim, dtype=torch.float64).expand_as(product), 1e-8)
    parameters = list(transform.parameters())
    if not parameters:
        return
    # by the implicit function theorem, dz/dθ = −(∂f/∂z)⁻¹ ∂f/∂θ at fixed x
    c = torch.randn_like(z)
    direct = torch.autograd.grad((c * transform.inverse(x)[0]).sum(), parameters, allow_unused=True)
    pulled = torch.linalg.solve(jacobian(transform.forward, z).mT, c.flatten(1).unsqueeze(-1)).squeeze(-1).detach()
    implicit = torch.autograd.grad(-(pulled * transform(z)[0].flatten(1)).sum(), parameters, allow_unused=True)
    for parameter, a, b in zip(parameters, direct, implicit, strict=True):
        zero = torch.zeros_like(parameter)  # the gradient of what a call does not use
        assert_close(zero if a is None else a, zero if b is None else b, 1e-8)


@check
def second_derivatives(case: Case) -> None:
    """The Hessian of the log-density goes through the inverse twice: it must equal differences of the gradient."""
    transform, z = case.build(), case.z(3)
    x = transform(z)[0].detach()

    def gradient(points: Tensor) -> Tensor:
        points = points.requires_grad_()
        z, log_det = transform.inverse(points)
        return torch.autograd.grad((log_det.sum() - 0.5 * z.square().sum()), points, create_graph=True)[0]

    direction = torch.randn_like(x)
    points = x.clone().requires_grad_()
    exact = torch.autograd.grad((gradient(points) * direction).sum(), points)[0]
    step = 1e-5
    near, far = (gradient(x + k * step * direction) - gradient(x - k * step * direction) for k in (1, 2))
    nearby = (8.0 * near - far) / (12.0 * step)  # of fourth order
    assert_close(exact, nearby.detach(), 1e-4)


@check
def compiles_whole(case: Case) -> None:
    """In one piece; what the compiler then makes of it: tests/transforms/test_compile.py, for one case of each kind."""
    transform, z = case.build(), case.z(4)
    for call, points in both_ways(transform, z):
        torch._dynamo.reset()
        compiled = torch.compile(call, fullgraph=True, backend="eager")
        for a, b in zip(compiled(points), call(points), strict=True):
            assert_close(a, b, 1e-10)


@check
def vmap_and_jacrev(case: Case) -> None:
    transform, z = case.build(), case.z(4)
    for call, points in both_ways(transform, z):
        for a, b in zip(vmap(call)(points), call(points), strict=True):
            assert_close(a, b, 1e-12)
        for one, point in zip(jacobian(call, points), points, strict=True):
            assert_close(one, jacrev(lambda p: call(p)[0])(point).reshape(one.shape), 1e-12)  # noqa: B023


@check
def trains(case: Case) -> None:
    transform, z = case.build(), case.z(50)
    parameters = list(transform.parameters())
    if not parameters:
        return
    frozen = copy.deepcopy(transform).requires_grad_(False)
    kept = [parameter.clone() for parameter in frozen.parameters()]
    target = transform(z)[0].detach() + 0.3
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    losses = []
    for _ in range(11):
        optimizer.zero_grad()
        again, log_det = transform.inverse(target)
        loss = 0.5 * again.square().mean() * case.dim - log_det.mean()
        loss.backward(retain_graph=True)
        loss.backward()  # a second backward is allowed and adds the same gradient again
        optimizer.step()
        losses.append(loss.item())
    volume_and_length_kept = max(losses) - min(losses) < 1e-9
    assert losses[-1] < losses[0] or volume_and_length_kept
    assert all(torch.equal(a, b) for a, b in zip(kept, frozen.parameters(), strict=True))
