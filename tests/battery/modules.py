"""Checks of the module: it repeats itself, changes nothing, and can be saved, copied and moved."""

import copy
import io
import pickle

import torch

from tests.battery.case import Case
from tests.battery.tools import Checks, both_ways

check = Checks()


@check
def deterministic_in_eval(case: Case) -> None:
    transform, z = case.build().eval(), case.z()
    for call, points in both_ways(transform, z):
        assert all(torch.equal(a, b) for a, b in zip(call(points), call(points), strict=True))


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
def under_autocast(case: Case) -> None:
    """Others may compute in 16 bits: the same numbers come out as without."""
    transform, z = case.build(torch.float32).eval(), case.z(8, torch.float32)
    for call, points in both_ways(transform, z):
        with torch.no_grad():
            expected = call(points)
            with torch.autocast("cpu", torch.bfloat16):
                got = call(points)
        assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))
