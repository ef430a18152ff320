"""Layers for images: every pixel in its place, log-determinants, first batches, what they refuse."""

import pytest
import torch

from flowlib import prove
from flowlib.transforms import (
    ActNorm,
    Conv1x1,
    ElementwiseAffine,
    Flatten,
    Logit,
    Sigmoid,
    Squeeze,
    Unflatten,
)

IMAGE = torch.arange(32.0).reshape(2, 4, 4)


def test_squeeze_puts_each_pixel_of_a_block_into_its_channel() -> None:
    z, _ = Squeeze((2, 4, 4)).inverse(IMAGE)
    assert z.shape == (8, 2, 2)
    for c in range(2):
        for i in range(2):
            for j in range(2):
                assert torch.equal(z[4 * c + 2 * i + j], IMAGE[c, i::2, j::2])
    assert torch.equal(z, torch.nn.functional.pixel_unshuffle(IMAGE, 2))


def test_unflatten_reads_row_by_row() -> None:
    assert torch.equal(Unflatten((2, 4, 4))(torch.arange(32.0))[0], IMAGE)
    assert torch.equal(Flatten((2, 4, 4))(IMAGE)[0], torch.arange(32.0))


def test_conv1x1_is_one_matrix_for_all_pixels_and_counts_each() -> None:
    w = torch.tensor([[2.0, 1.0], [0.0, 3.0]])
    layer = Conv1x1((2, 4, 4), matrix=w)
    x, log_det = layer(IMAGE)
    assert torch.allclose(layer.matrix, w)
    assert torch.allclose(x[:, 1, 2], w @ IMAGE[:, 1, 2])
    assert log_det.item() == pytest.approx(16 * torch.tensor(6.0).log().item(), rel=1e-6)


def test_conv1x1_starts_at_a_rotation() -> None:
    torch.manual_seed(0)
    layer = Conv1x1((5, 2, 2))
    assert torch.allclose(layer.matrix @ layer.matrix.mT, torch.eye(5), atol=1e-5)
    assert layer(torch.zeros(5, 2, 2))[1].abs() < 1e-4


def test_actnorm_of_images_standardizes_each_channel_over_all_pixels() -> None:
    torch.manual_seed(0)
    batch = 3.0 * torch.randn(20, 2, 4, 4) + torch.tensor([1.0, -2.0]).reshape(2, 1, 1)
    batch[0, 0, 1, 1] = torch.nan  # this pixel does not count
    layer = ActNorm((2, 4, 4))
    layer.inverse(batch)
    z = layer.inverse(batch[1:])[0]
    assert z.mean((0, 2, 3)).abs().max() < 0.1 and (z.std((0, 2, 3)) - 1).abs().max() < 0.1
    assert layer.shift.shape == (2, 1, 1) and layer.initialized


@pytest.mark.parametrize(
    "transform",
    [
        Squeeze((1, 4, 4)),
        Conv1x1((3, 2, 2)),
        ActNorm((2, 2, 3)),
        Unflatten((2, 2, 2)),
        Sigmoid((1, 2, 2)),
        ElementwiseAffine((1, 2, 2), scale=2.0),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_prove_works_on_images(transform) -> None:
    torch.manual_seed(0)
    assert prove(transform).holds


BAD = [
    (lambda: Squeeze((1, 7, 7)), "Squeeze: H and W must be even; got (1, 7, 7). Use fewer levels, or pad the images."),
    (lambda: Squeeze((7, 8)), "Squeeze: shape must be three whole numbers (C, H, W); got (7, 8)"),
    (lambda: Squeeze(8), "Squeeze: shape must be three whole numbers (C, H, W); got 8"),
    (lambda: Unflatten(()), "Unflatten: shape must hold whole numbers, such as (C, H, W); got ()"),
    (lambda: Flatten((1, 0, 4)), "Unflatten: each number of shape must be a whole number, 1 or more; got 0"),
    (lambda: Conv1x1((2, 4, 4), matrix=[[1.0, 1.0], [1.0, 1.0]]), "Conv1x1: matrix must be invertible (det ≠ 0)"),
    (lambda: Conv1x1((2, 4, 4), matrix=[[1.0]]), "Conv1x1: matrix must have shape (2, 2); got shape (1, 1)"),
    (lambda: ActNorm((2, 4)), "ActNorm: shape must be three whole numbers (C, H, W); got (2, 4)"),
    (lambda: Sigmoid((1, 2.0)), "Sigmoid: each number of shape must be a whole number, 1 or more; got 2.0"),
    (lambda: Logit("wide"), "Logit: dim must be a whole number, 1 or more; got 'wide'"),
    (lambda: ElementwiseAffine((1, 2, 2), shift=[1.0]), "ElementwiseAffine: shift must be finite numbers with 3"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)
