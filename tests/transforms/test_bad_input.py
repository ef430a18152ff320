# ruff: noqa: E501
"""The table of bad input: each line is what somebody typed and the words the message must contain."""

import pytest
import torch

from flowlib import Compose, Flow, Inverse
from flowlib.bases import DiagonalNormal, NormalMixture, StandardNormal, Uniform
from flowlib.transforms import (
    ElementwiseAffine,
    LeakyReLU,
    Linear,
    Logit,
    Permutation,
    Planar,
    Radial,
    Rotation,
    Sigmoid,
    Sylvester,
)

nan, inf = float("nan"), float("inf")

CONSTRUCTORS = [
    (lambda: Planar(0), "Planar: dim must be a whole number, 1 or more; got 0"),
    (lambda: Planar(2.0), "Planar: dim must be a whole number, 1 or more; got 2.0"),
    (lambda: Planar(True), "Planar: dim must be a whole number, 1 or more; got True"),
    (lambda: Planar("2"), "Planar: dim must be a whole number, 1 or more; got '2'"),
    (lambda: Planar(2, u=[1.0, 2.0, 3.0]), "Planar: u must have shape (2,); got shape (3,)"),
    (lambda: Planar(2, w=[1.0, nan]), "Planar: w must be finite numbers with 1 dimension; got [1.0, nan]"),
    (lambda: Planar(2, b="zero"), "Planar: b must be finite numbers with 0 dimensions; got 'zero'"),
    (lambda: Planar(2, b=[1.0, 2.0]), "Planar: b must be finite numbers with 0 dimensions; got shape (2,)"),
    (lambda: Planar(2, u=[]), "Planar: u must have shape (2,); got shape (0,)"),
    (lambda: Planar(2, u=[[1.0, 2.0]]), "Planar: u must be finite numbers with 1 dimension; got shape (1, 2)"),
    (lambda: Planar(2, u=inf), "Planar: u must be finite numbers with 0 dimensions; got inf"),
    (lambda: Planar(2, u=torch.tensor([1j, 0])), "Planar: u must be finite numbers with 1 dimension; got dtype torch.complex64"),
    (lambda: Radial(2, alpha=0.0), "Radial: alpha must be greater than 0; got 0.0"),
    (lambda: Radial(2, alpha=-1.0), "Radial: alpha must be greater than 0; got -1.0"),
    (lambda: Radial(2, z0=[1.0]), "Radial: z0 must have shape (2,); got shape (1,)"),
    (lambda: Sylvester(3, 0), "Sylvester: ridges must be a whole number, 1 or more; got 0"),
    (lambda: Sylvester(3, 4), "Sylvester: ridges must be at most dim = 3; got 4"),
    (lambda: ElementwiseAffine(2, scale=[1.0, 0.0]), "ElementwiseAffine: scale must be greater than 0; got [1.0, 0.0]"),
    (lambda: ElementwiseAffine(2, shift="a"), "ElementwiseAffine: shift must be finite numbers"),
    (lambda: LeakyReLU(2, slope=0), "LeakyReLU: slope must be a finite number greater than 0; got 0"),
    (lambda: LeakyReLU(2, slope=nan), "LeakyReLU: slope must be a finite number greater than 0; got nan"),
    (lambda: Sigmoid(-1), "Sigmoid: dim must be a whole number, 1 or more; got -1"),
    (lambda: Logit(None), "Logit: dim must be a whole number, 1 or more; got None"),
    (lambda: Linear(2, "ul"), "Linear: parametrization must be one of 'lu', 'svd', 'qr'; got 'ul'"),
    (lambda: Linear(2, matrix=[[1.0, 2.0], [2.0, 4.0]]), "Linear: matrix must be invertible (det ≠ 0); got [[1.0, 2.0], [2.0, 4.0]]"),
    (lambda: Linear(2, matrix=[[1.0, 2.0]]), "Linear: matrix must have shape (2, 2); got shape (1, 2)"),
    (lambda: Linear(2, matrix=3.0), "Linear: matrix must be finite numbers with 2 dimensions; got shape ()"),
    (lambda: Linear(2, bias=[1.0, 2.0, 3.0]), "Linear: bias must have shape (2,); got shape (3,)"),
    (lambda: Rotation(3, angles=[1.0]), "Rotation: angles must have shape (3,); got shape (1,)"),
    (lambda: Permutation([0, 0]), "Permutation: order must hold each of 0, ..., D − 1 once; got [0.0, 0.0]"),
    (lambda: Permutation([]), "Permutation: order must hold each of 0, ..., D − 1 once; got []"),
    (lambda: StandardNormal(0), "StandardNormal: dim must be a whole number, 1 or more; got 0"),
    (lambda: DiagonalNormal(0.0, 1.0), "DiagonalNormal: loc must be finite numbers with 1 dimension; got shape ()"),
    (lambda: DiagonalNormal([0.0], [-1.0]), "DiagonalNormal: scale must be greater than 0; got [-1.0]"),
    (lambda: Uniform([0.0], [0.0]), "Uniform: low must be below high; got low [0.0], high [0.0]"),
    (lambda: Uniform([0.0], "one"), "Uniform: high must be finite numbers with 1 dimension; got 'one'"),
    (lambda: NormalMixture([0.0, 1.0]), "NormalMixture: loc must be finite numbers with 2 dimensions; got shape (2,)"),
    (lambda: NormalMixture([[0.0], [1.0]], weights=[1.0, -1.0]), "NormalMixture: weights must be greater than 0"),
    (lambda: StandardNormal(1).sample(3, temperature=-0.5), "temperature must be a finite number, 0 or more; got -0.5"),
    (lambda: NormalMixture([[0.0]]).sample(3, temperature=0.5), "samples at temperature 1 only; got 0.5"),
    (lambda: Flow(Planar(2), StandardNormal(3)), "Flow: the transform works on events of shape (2,), the base on (3,)"),
    (lambda: Compose([Planar(2), Planar(3)]), "Compose: item 0 (Planar) gives points of shape (2,), item 1 (Planar) takes (3,). Give them one shape."),
    (lambda: Flow(Planar(2), StandardNormal(2)).sample(-1), "Flow.sample: n must be a whole number, 0 or more; got -1"),
    (lambda: Flow(Planar(2), StandardNormal(2)).sample(2.5), "Flow.sample: n must be a whole number, 0 or more; got 2.5"),
    (lambda: Flow(Planar(2), StandardNormal(2)).log_prob(torch.zeros(5, 3)), "Flow.log_prob expects a float tensor of shape (..., 2); got shape (5, 3)"),
]  # fmt: skip

TYPES = [
    (lambda: Flow("planar", StandardNormal(2)), "Flow expects a Transform first; got str"),
    (lambda: Flow(Planar(2), torch.distributions.Normal(0, 1)), "Flow expects a base density second"),
    (lambda: Compose([Planar(2), "radial"]), "Compose expects Transforms; item 1 is a str"),
    (lambda: Inverse("planar"), "Inverse expects a Transform; got str"),
    (lambda: Flow(Planar(2), StandardNormal(2)).log_prob([[0.0, 1.0]]), "got list. Convert with torch.as_tensor first"),
    (lambda: Flow(Planar(2), StandardNormal(2)).log_prob(torch.zeros(2, 2).long()), "got dtype torch.int64. Convert with .float() first"),
    (lambda: StandardNormal(2).log_prob("zero"), "StandardNormal expects a float tensor of shape (..., 2); got str"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), CONSTRUCTORS, ids=[message for _, message in CONSTRUCTORS])
def test_values(call, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)


@pytest.mark.parametrize(("call", "message"), TYPES, ids=[message for _, message in TYPES])
def test_types(call, message: str) -> None:
    with pytest.raises(TypeError) as error:
        call()
    assert message in str(error.value)
