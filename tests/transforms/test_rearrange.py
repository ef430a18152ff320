# ruff: noqa: E501
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
    MultiScale,
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


def test_multiscale_puts_half_of_the_channels_of_each_level_into_the_latent() -> None:
    """With the identity at each level, every number of the image has a place in z that can be said by hand."""
    levels = [Conv1x1((4, 2, 2), matrix=torch.eye(4)), Conv1x1((8, 1, 1), matrix=torch.eye(8))]
    f, x = MultiScale((1, 4, 4), levels), torch.arange(16.0).reshape(1, 4, 4)
    z, log_det = f.inverse(x)
    coarse, fine = (z[part] for part in f.slices())
    assert torch.equal(fine, torch.tensor([4.0, 6, 12, 14, 5, 7, 13, 15]))  # lower left, then lower right pixels
    assert torch.equal(coarse, torch.tensor([0.0, 2, 8, 10, 1, 3, 9, 11]))  # upper left, then upper right pixels
    assert torch.equal(f(z)[0], x) and log_det == 0.0


def test_multiscale_keeps_every_number_and_names_its_scale() -> None:
    torch.manual_seed(0)
    levels = [Conv1x1((8, 4, 4)), Conv1x1((16, 2, 2)), Conv1x1((32, 1, 1))]
    f, x = MultiScale((2, 8, 8), levels).double(), torch.randn(5, 2, 8, 8, dtype=torch.float64)
    z, log_det = f.inverse(x)
    assert z.shape == (5, 128)
    assert [part.stop - part.start for part in f.slices()] == [32, 32, 64]
    assert f.slices()[0].start == 0 and f.slices()[-1].stop == 128
    again, log_det_back = f(z)
    assert torch.allclose(again, x) and torch.allclose(log_det_back, -log_det)
    parts = [level.transforms[0] for level in f.scales]
    total = sum(part.pixels * part.factors.log_det() for part in parts)
    assert torch.allclose(log_det_back, total.expand(5))


def test_a_coarse_scale_reaches_the_whole_image_and_a_fine_one_its_own_block() -> None:
    torch.manual_seed(0)
    f = MultiScale((1, 8, 8), [Conv1x1((4, 4, 4)), Conv1x1((8, 2, 2)), Conv1x1((16, 1, 1))])
    jacobian = torch.func.jacrev(lambda z: f(z)[0].flatten())(torch.randn(64))  # (pixels, latents)
    reached = [(jacobian[:, part] != 0).sum(0) for part in f.slices()]
    assert [int(count.float().mean()) for count in reached] == [64, 16, 4]


@pytest.mark.parametrize(
    "transform",
    [
        Squeeze((1, 4, 4)),
        Conv1x1((3, 2, 2)),
        ActNorm((2, 2, 3)),
        Unflatten((2, 2, 2)),
        Sigmoid((1, 2, 2)),
        ElementwiseAffine((1, 2, 2), scale=2.0),
        MultiScale((1, 4, 4), [Conv1x1((4, 2, 2)), Conv1x1((8, 1, 1))]),
    ],
    ids=lambda transform: type(transform).__name__,
)
def test_prove_works_on_images(transform) -> None:
    torch.manual_seed(0)
    assert prove(transform).holds


BAD = [
    (lambda: Squeeze((1, 7, 7)), "Squeeze: H and W must be even; got (1, 7, 7). Use fewer scales, or pad the images."),
    (lambda: Squeeze((7, 8)), "Squeeze: shape must be three whole numbers (C, H, W); got (7, 8)"),
    (lambda: Squeeze(8), "Squeeze: shape must be three whole numbers (C, H, W); got 8"),
    (lambda: Unflatten(()), "Unflatten: shape must hold whole numbers, such as (C, H, W); got ()"),
    (lambda: Flatten((1, 0, 4)), "Unflatten: each number of shape must be a whole number, 1 or more; got 0"),
    (lambda: Conv1x1((2, 4, 4), matrix=[[1.0, 1.0], [1.0, 1.0]]), "Conv1x1: matrix must be invertible (det ≠ 0)"),
    (lambda: Conv1x1((2, 4, 4), matrix=[[1.0]]), "Conv1x1: matrix must have shape (2, 2); got shape (1, 1)"),
    (lambda: MultiScale((1, 4, 4), []), "MultiScale: scales is empty; expected one Transform for each scale"),
    (lambda: MultiScale((1, 7, 7), [Conv1x1((4, 3, 3))]), "Squeeze: H and W must be even; got (1, 7, 7)"),
    (lambda: MultiScale((1, 4, 4), [Conv1x1((4, 2, 2))] * 2), "MultiScale: scale 1 gives points of shape (4, 2, 2); its image is (2, 2, 2). Build it on (8, 1, 1), half the resolution, or let it give (2, 2, 2)."),
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
