"""The battery: what every transform must pass. Each check takes a case and asserts; its name is what pytest shows."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import jacrev, vmap

from flowlib import Compose, Flow, Inverse, Transform
from flowlib.bases import StandardNormal
from flowlib.transforms import Unflatten
from tests.battery.cases import Case

TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-3}
CHECKS: dict[str, Callable[[Case], None]] = {}


def check(function: Callable[[Case], None]) -> Callable[[Case], None]:
    """Enter a check into the battery."""
    CHECKS[function.__name__.replace("_", " ")] = function
    return function


def both_ways(transform: Transform, z: Tensor) -> list[tuple[Callable, Tensor]]:
    """The two calls of a transform, each with points where it is defined."""
    x = transform(z)[0].detach()
    return [(transform.forward, z), (transform.inverse, x)]


def assert_close(value: Tensor, expected: Tensor, tolerance: float) -> None:
    """|value − expected| ≤ tolerance · (1 + |expected|), everywhere."""
    assert value.shape == expected.shape
    error = ((value - expected).abs() / (1.0 + expected.abs())).max().item() if value.numel() else 0.0
    assert error <= tolerance, f"error {error:.1e} is over {tolerance:.0e}"


def jacobian(call: Callable, points: Tensor) -> Tensor:
    """∂call/∂point at each point, (n, D, D), by autograd."""
    return vmap(jacrev(lambda point: call(point)[0].flatten()))(points).flatten(2)


def assert_round_trip(transform: Transform, z: Tensor, tolerance: float) -> None:
    """z -> x -> z, or where the map is ill-conditioned x -> z -> x, and opposite log-dets at the pair."""
    x, log_det = transform(z)
    z_again, log_det_back = transform.inverse(x)
    assert z_again.isfinite().all() and log_det_back.isfinite().all()
    try:
        assert_close(z_again, z, tolerance)
    except AssertionError:
        assert_close(transform(z_again)[0], x, tolerance)
    else:
        assert_close(log_det_back, -log_det, tolerance)


@check
def shapes_and_dtypes(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        transform, z = case.build(dtype), case.z(7, dtype)
        latent = Compose([transform] if case.shape == (case.dim,) else [Unflatten(case.shape), transform])
        flow = Flow(latent, StandardNormal(case.dim).to(dtype))
        there, back = both_ways(transform, z)
        again, away = both_ways(Compose([transform, Inverse(transform)]), z)
        for (call, points), shape in (
            (there, case.data_shape),
            (back, case.shape),
            (again, case.shape),
            (away, case.shape),
        ):
            value, log_det = call(points)
            assert (value.shape, log_det.shape) == ((7, *shape), (7,))
            assert value.dtype == log_det.dtype == dtype and value.device == log_det.device == z.device
        if case.whole_space:
            x, log_prob = flow.sample_with_log_prob(4)
            assert (x.shape, log_prob.shape, x.dtype, log_prob.dtype) == ((4, *case.data_shape), (4,), dtype, dtype)
            assert_close(log_prob, flow.log_prob(x), TOLERANCE[dtype])


@check
def log_det_is_autograds(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        transform, z = case.build(dtype), case.z(20, dtype)
        for call, points in both_ways(transform, z):
            assert_close(call(points)[1], torch.linalg.slogdet(jacobian(call, points)).logabsdet, TOLERANCE[dtype])


@check
def log_dets_are_opposite(case: Case) -> None:
    transform, z = case.build(), case.z()
    x, log_det = transform(z)
    assert_close(transform.inverse(x)[1], -log_det, 1e-8)


@check
def round_trip(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        transform, z = case.build(dtype), case.z(50, dtype)
        assert_round_trip(transform, z, TOLERANCE[dtype])
        assert_round_trip(Inverse(transform), transform(z)[0], TOLERANCE[dtype])


@check
def tails(case: Case) -> None:
    for dtype in (torch.float64, torch.float32):
        transform = case.build(dtype)
        for radius in (10.0, 100.0, 1000.0):
            z = case.z(20, dtype, radius)
            assert_round_trip(transform, z, TOLERANCE[dtype])
            log_det = transform(z)[1]
            assert log_det.isfinite().all()
            # autograd itself loses its digits in float32 where a slope is 1e-7: its float64 is the reference
            exact = jacobian(copy.deepcopy(transform).double(), z.double())
            assert_close(log_det.double(), torch.linalg.slogdet(exact).logabsdet, TOLERANCE[dtype])


@check
def wild_parameters(case: Case) -> None:
    for dtype, size in ((torch.float64, 3.0), (torch.float32, 1.0)):
        for seed in range(5):
            transform, z = case.build(dtype), case.z(20, dtype)
            torch.manual_seed(seed)
            with torch.no_grad():
                for parameter in transform.parameters():
                    parameter.copy_(size * torch.randn_like(parameter))
            x, log_det = transform(z)
            assert x.isfinite().all() and log_det.isfinite().all()
            assert_round_trip(transform, z, TOLERANCE[dtype])


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
    nearby = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
    assert_close(exact, nearby.detach(), 1e-4)


@check
def deterministic_in_eval(case: Case) -> None:
    transform, z = case.build().eval(), case.z()
    for call, points in both_ways(transform, z):
        assert all(torch.equal(a, b) for a, b in zip(call(points), call(points), strict=True))


@check
def any_batch(case: Case) -> None:
    transform, z = case.build(), case.z(5)
    for call, points in both_ways(transform, z):
        value, log_det = call(points)
        for shape, taken in (
            ((), 2),
            ((1,), slice(2, 3)),
            ((5, 1), slice(None)),
            ((0,), slice(0, 0)),
            ((1, 0), slice(0, 0)),
        ):
            part, part_log_det = call(points[taken].reshape(*shape, *points.shape[1:]))
            assert part.shape == (*shape, *value.shape[1:]) and part_log_det.shape == shape
            assert_close(part, value[taken].reshape(part.shape), 1e-12)
            assert_close(part_log_det, log_det[taken].reshape(shape), 1e-12)


@check
def nan_and_inf_stay_in_their_row(case: Case) -> None:
    transform, z = case.build(), case.z(5)
    for call, points in both_ways(transform, z):
        value, log_det = call(points)
        others = [0, 1, 3, 4]
        for bad in (torch.nan, torch.inf, -torch.inf):
            spoiled = points.clone()
            spoiled[2] = bad
            got, got_log_det = call(spoiled)
            assert_close(got[others], value[others], 1e-12)
            assert_close(got_log_det[others], log_det[others], 1e-12)
            if bad != bad:
                assert got[2].isnan().all()
            elif case.whole_space:
                assert not got[2].isfinite().any()


@check
def wrong_shapes_are_refused(case: Case) -> None:
    transform = case.build()
    for call, right in ((transform.forward, case.shape), (transform.inverse, case.data_shape)):
        *outer, last = right
        for shape in ((3, *outer, last + 1), (3, *outer, last - 1), (3, right[0] + 1, *right[1:]), right[1:]):
            if shape == (3, *right):
                continue
            with pytest.raises(
                ValueError,
                match=rf"expects .*\(\.\.\., {', '.join(map(str, right))}\).*got shape \({', '.join(map(str, shape))}",
            ):
                call(torch.zeros(shape, dtype=torch.float64))
        for wrong in ("text", [[0.0] * last], torch.zeros(3, *right, dtype=torch.long)):
            with pytest.raises(TypeError, match=r"expects a float tensor"):
                call(wrong)


@check
def leaves_its_surroundings_alone(case: Case) -> None:
    transform, z = case.build().eval(), case.z()
    before = copy.deepcopy(transform.state_dict())
    for call, points in both_ways(transform, z):
        kept = points.clone()
        expected = call(points)
        with torch.inference_mode():
            got = call(points)
        assert torch.equal(points, kept)
        assert all(torch.allclose(a, b) for a, b in zip(got, expected, strict=True))
    after = transform.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)


@check
def saved_and_copied(case: Case) -> None:
    transform, z = case.build(), case.z()
    expected = transform(z)
    buffer = io.BytesIO()
    torch.save(transform.state_dict(), buffer)
    buffer.seek(0)
    fresh = case.make().double()
    fresh.load_state_dict(torch.load(buffer, weights_only=True))
    for other in (fresh, pickle.loads(pickle.dumps(transform)), copy.deepcopy(transform)):
        assert all(torch.equal(a, b) for a, b in zip(other(z), expected, strict=True))


@check
def moves_between_dtypes_and_devices(case: Case) -> None:
    single = case.build(torch.float32)
    assert single.double()(case.z())[0].dtype == torch.float64
    meta = case.build().to("meta")
    for call, came, goes in (
        (meta.forward, case.shape, case.data_shape),
        (meta.inverse, case.data_shape, case.shape),
    ):
        value, log_det = call(torch.zeros(4, *came, dtype=torch.float64, device="meta"))
        assert value.device.type == log_det.device.type == "meta"
        assert (value.shape, log_det.shape) == ((4, *goes), (4,))


@check
def compiles_whole(case: Case) -> None:
    transform, z = case.build(), case.z(4)
    for call, points in both_ways(transform, z):
        torch._dynamo.reset()
        compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
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


@check
def inverse_of_inverse(case: Case) -> None:
    transform, z = case.build(), case.z()
    assert all(torch.equal(a, b) for a, b in zip(Inverse(Inverse(transform))(z), transform(z), strict=True))
    x, log_det = Compose([transform, Inverse(transform)])(z)
    assert_close(x, z, 1e-8)
    assert_close(log_det, torch.zeros_like(log_det), 1e-8)
