"""prove() finds what is wrong, by name, and leaves everything as it was."""

import pytest
import torch

from flowlib import Compose, Flow, Transform, prove
from flowlib.bases import StandardNormal, Uniform
from flowlib.transforms import ElementwiseAffine, Linear, Logit, Planar, Radial


class Wrong(ElementwiseAffine):
    """x = 2 z + 1 with one fault at a time."""

    def __init__(self, fault: str):
        super().__init__(2, shift=1.0, scale=2.0)
        self.fault = fault

    def forward(self, z, context=None):
        x, log_det = super().forward(z)
        if self.fault == "sum over the batch":
            return x, log_det.sum()
        return x, {"sign": -log_det, "mean": log_det / 2}.get(self.fault, log_det)

    def inverse(self, x, context=None):
        z, log_det = super().inverse(x)
        return (z + 0.1 if self.fault == "inverse" else z), (2 * log_det if self.fault == "mass" else log_det)


FAULTS = {
    "sign": {"forward log_det = autograd's", "the two log_dets are opposite"},
    "mean": {"forward log_det = autograd's", "the two log_dets are opposite"},
    "sum over the batch": {"log_det is one number a point"},
    "inverse": {"inverse(forward(z)) = z", "forward(inverse(x)) = x"},
    "mass": {"inverse log_det = autograd's", "the two log_dets are opposite", "the density has mass 1"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_named(fault: str) -> None:
    proof = prove(Wrong(fault))
    assert {check.claim for check in proof.checks if not check.holds} == FAULTS[fault]
    assert not proof.holds and "NOT" in repr(proof) and "✗" in proof._repr_html_()


@pytest.mark.parametrize(
    "subject",
    [
        ElementwiseAffine(1, 1.0, 3.0),
        Planar(2, [2.0, 0.0], [1.0, 0.5], 0.3),
        Radial(2, [0.0, 0.0], 1.0, -0.7),
        Linear(4),
        Compose([], [2]),
        Flow(Planar(2, [1.0, 0.0], [1.0, 0.0], 0.0), Uniform([-1.0, -1.0], [1.0, 1.0])),
        Flow(Logit(1), Uniform([0.0], [1.0])),
    ],
    ids=lambda subject: type(getattr(subject, "transform", subject)).__name__,
)
def test_right_transforms_hold(subject) -> None:
    assert prove(subject).holds, repr(prove(subject))


def test_a_folding_flow_fails_and_its_mass_is_not_one() -> None:
    proof = prove(Planar(2, [-3.0, 0.0], [1.0, 0.0], 0.0, constrain=False))
    failed = {check.claim for check in proof.checks if not check.holds}
    assert {"inverse(forward(z)) = z", "the density has mass 1"} <= failed


def test_the_report_is_the_same_twice_and_changes_nothing() -> None:
    flow = Planar(2)
    torch.manual_seed(3)
    first = repr(prove(flow))
    drawn = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(drawn, torch.rand(1))
    assert repr(prove(flow)) == first
    assert flow.u.dtype == torch.float32


def test_points_of_ones_own() -> None:
    assert prove(Planar(2), torch.zeros(3, 2)).holds
    with pytest.raises(ValueError, match=r"prove expects .* \(\.\.\., 2\); got shape \(3, 3\)"):
        prove(Planar(2), torch.zeros(3, 3))
    with pytest.raises(TypeError, match="prove expects a Transform or a Flow; got str"):
        prove("planar")


def test_errors_of_a_transform_pass_through() -> None:
    class Broken(Transform):
        def forward(self, z, context=None):
            raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        prove(Flow(Broken([2]), StandardNormal(2)))


def test_data_are_proved_where_they_lie() -> None:
    """Where rounding hides what was there, it is said, in the precision of the map itself."""
    from flowlib.transforms import ElementwiseAffine

    x = torch.tensor([[1.0, 2.0], [3.0, 5.0]])
    proof = prove(ElementwiseAffine(2, shift=1.0), x=x)
    assert proof.holds and "these x come back in float32" in [check.claim for check in proof.checks]
    lost = next(check for check in prove(Saturated([3]), x=torch.rand(4, 3)).checks if "come back" in check.claim)
    assert not lost.holds


class Saturated(Transform):
    """x = z, by way of z + 10⁸: in float32 nothing is left of a small z."""

    def forward(self, z: torch.Tensor, context: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        return (z + 1e8) - 1e8, z.new_zeros(z.shape[:-1])

    def inverse(self, x: torch.Tensor, context: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        return x, x.new_zeros(x.shape[:-1])


def test_a_conditional_map_is_proved_at_a_context() -> None:
    from flowlib.models import real_nvp

    torch.manual_seed(0)
    flow = real_nvp(layers=2, hidden=[8], context_dim=2)
    assert prove(flow, context=torch.ones(2)).holds and prove(flow.transform, context=torch.ones(2)).holds
