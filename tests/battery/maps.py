"""Checks of the map: there and back, its log-determinant, shapes, batches, far away, with wild parameters."""

import copy

import pytest
import torch

from flowlib import Compose, Flow, Inverse
from flowlib.bases import StandardNormal
from flowlib.core import Cost
from flowlib.transforms import Unflatten
from tests.battery.case import Case
from tests.battery.tools import TOLERANCE, Checks, assert_close, assert_round_trip, both_ways, jacobian

check = Checks()


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
    round_trip_in(torch.float64, case, "round trip" in case.ill_conditioned)


@check
def round_trip_in_single_precision(case: Case) -> None:
    round_trip_in(torch.float32, case, "round trip in single precision" in case.ill_conditioned)


def round_trip_in(dtype: torch.dtype, case: Case, ill_conditioned: bool) -> None:
    transform, z = case.build(dtype), case.z(50, dtype)
    assert_round_trip(transform, z, TOLERANCE[dtype], ill_conditioned)
    assert_round_trip(Inverse(transform), transform(z)[0], TOLERANCE[dtype], ill_conditioned)


@check
def inverse_of_inverse(case: Case) -> None:
    transform, z = case.build(), case.z()
    assert all(torch.equal(a, b) for a, b in zip(Inverse(Inverse(transform))(z), transform(z), strict=True))
    x, log_det = Compose([transform, Inverse(transform)])(z)
    assert_close(x, z, 1e-8)
    assert_close(log_det, torch.zeros_like(log_det), 1e-8)


@check
def layers_are_the_same_map(case: Case) -> None:
    transform, z = case.build(), case.z()
    layers = Compose(transform.layers(), case.shape)
    assert layers.event_shape == case.shape and layers.data_shape == case.data_shape
    for (call, points), (in_layers, _) in zip(both_ways(transform, z), both_ways(layers, z), strict=True):
        for a, b in zip(in_layers(points), call(points), strict=True):
            assert_close(a, b, 1e-10)


@check
def costs_are_said(case: Case) -> None:
    there, back = case.make().costs
    assert isinstance(there, Cost) and isinstance(back, Cost)
    assert min(there.passes, back.passes) >= 1 and there.words and back.words


@check
def tails(case: Case) -> None:
    tails_in(torch.float64, case, "tails" in case.ill_conditioned)


@check
def tails_in_single_precision(case: Case) -> None:
    tails_in(torch.float32, case, "tails in single precision" in case.ill_conditioned)


def tails_in(dtype: torch.dtype, case: Case, ill_conditioned: bool) -> None:
    transform = case.build(dtype)
    for radius in (10.0, 100.0, 1000.0):
        z = case.z(20, dtype, radius)
        assert_round_trip(transform, z, TOLERANCE[dtype], ill_conditioned)
        log_det = transform(z)[1]
        assert log_det.isfinite().all()
        # autograd itself loses its digits in float32 where a slope is 1e-7: its float64 is the reference
        exact = jacobian(copy.deepcopy(transform).double(), z.double())
        assert_close(log_det.double(), torch.linalg.slogdet(exact).logabsdet, TOLERANCE[dtype])


@check
def wild_parameters(case: Case) -> None:
    wild_parameters_in(torch.float64, 3.0, case, "wild parameters" in case.ill_conditioned)


@check
def wild_parameters_in_single_precision(case: Case) -> None:
    wild_parameters_in(torch.float32, 1.0, case, "wild parameters in single precision" in case.ill_conditioned)


def wild_parameters_in(dtype: torch.dtype, size: float, case: Case, ill_conditioned: bool) -> None:
    for seed in range(5):
        transform, z = case.build(dtype), case.z(20, dtype)
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in transform.parameters():
                parameter.copy_(size * torch.randn_like(parameter))
        x, log_det = transform(z)
        assert x.isfinite().all() and log_det.isfinite().all()
        assert_round_trip(transform, z, TOLERANCE[dtype], ill_conditioned)


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
