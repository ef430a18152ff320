# ruff: noqa: E501
"""What a fit refuses, and in which words."""

import pytest
import torch
from torch import Tensor

from flowlib.training import fit, fit_energy
from tests.training.fitting.examples import Bowl, Moved, points, small


def with_nan() -> Tensor:
    x = points()
    x[17, 1] = torch.nan
    return x


BAD = [
    (lambda: fit(small(), with_nan()), ValueError, "fit: 1 of 500 rows of data hold nan or inf, the first is row 17"),
    (lambda: fit(small(), points(9)), ValueError, "fit: data has too few rows: 9; at least 10 are needed"),
    (lambda: fit(small(), torch.randn(50, 3)), ValueError, "data must have shape (n, 2), the points of the flow; got (50, 3)"),
    (lambda: fit(small(), torch.randn(50)), ValueError, "data must have shape (n, 2), the points of the flow; got (50,)"),
    (lambda: fit(small(), torch.ones(50, 2).long()), TypeError, "got dtype torch.int64. Convert with .float() first"),
    (lambda: fit(small(), points().numpy()), TypeError, "or be a sampler; got ndarray. Convert with torch.as_tensor first"),
    (lambda: fit(small(), points() * torch.tensor([1.0, 0.0])), ValueError, "column 1 of data has the same value in every row"),
    (lambda: fit(small(3), points()), ValueError, "the flow needs a context of 3 numbers a point (labels or conditions"),
    (lambda: fit(small(), points(), context=torch.ones(500, 1)), ValueError, "got a context, but the flow takes none"),
    (lambda: fit(small(3), points(), context=torch.ones(500)), ValueError, "context must be a tensor of shape (500, 3)"),
    (lambda: fit(small(3), points(), context=torch.ones(500)), ValueError, "torch.nn.functional.one_hot(labels)"),
    (lambda: fit(small(3), points(), context=torch.ones(400, 3)), ValueError, "got shape (400, 3)"),
    (lambda: fit(small(3), points(), context=[1, 2]), TypeError, "context must be a tensor of shape (500, 3)"),
    (lambda: fit(small(1), points(), context=torch.full((500, 1), torch.nan)), ValueError, "500 of 500 rows of context hold nan"),
    (lambda: fit(small(1), Moved(), context=torch.ones(5, 1)), ValueError, "fit: context goes with a tensor of data; a sampler has no rows for it"),
    (lambda: fit(small().transform, points()), TypeError, "fit expects a Flow first, e.g. real_nvp(dim=2); got Compose"),
    (lambda: fit(small().requires_grad_(False), points()), ValueError, "the flow has no trainable parameters"),
    (lambda: fit(small(), points(), steps=0), ValueError, "fit: steps must be a whole number, 1 or more; got 0"),
    (lambda: fit(small(), points(), batch=2.5), ValueError, "fit: batch must be a whole number, 1 or more; got 2.5"),
    (lambda: fit(small(), points(), lr=0), ValueError, "fit: lr must be a finite number greater than 0; got 0"),
    (lambda: fit(small(), points(), held_out=1.0), ValueError, "fit: held_out must be a fraction between 0 and 1; got 1.0"),
    (lambda: fit(small(), points(), entropy="low"), ValueError, "fit: entropy must be a finite number of nats; got 'low'"),
    (lambda: fit_energy(small(), Bowl(), steps=-1), ValueError, "fit_energy: steps must be a whole number, 1 or more"),
    (lambda: fit_energy(small(), "bowl"), TypeError, "fit_energy expects an energy, a function x (n, D) -> (n,); got str"),
    (lambda: fit_energy(small(), lambda x: x.square()), ValueError, "a tensor of shape (4,) for x (4, 2); got shape (4, 2)"),
    (lambda: fit_energy(small(), lambda x: x.square().sum()), ValueError, "got shape (). Sum over the last dimension only"),
    (lambda: fit_energy(small(), lambda x: 1.0), TypeError, "a tensor of shape (4,) for x (4, 2); got float"),
    (lambda: fit_energy(small(), lambda x: x.detach().sum(-1)), ValueError, "the energy has no gradient"),
    (lambda: fit_energy(small(), lambda x: x.sum(-1) * torch.nan), ValueError, "the energy is nan or infinite at 4 of 4 samples"),
    (lambda: fit_energy(small(2), Bowl()), ValueError, "the flow needs a context of 2 numbers a point"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "kind", "message"), BAD, ids=[message for _, _, message in BAD])
def test_bad_input(call, kind: type, message: str) -> None:
    with pytest.raises(kind) as error:
        call()
    assert message in str(error.value)
