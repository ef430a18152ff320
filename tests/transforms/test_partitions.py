"""Partitions of images: each pixel in its place, the right colours, and couplings that keep what they say."""

import pytest
import torch

from flowlib import prove
from flowlib.laws import Affine
from flowlib.nets.convolutional import ConvNet, GlowNet
from flowlib.transforms import Channels, Checkerboard, Coupling

DOUBLE = torch.float64
IMAGE = torch.arange(48.0).reshape(3, 4, 4)


def moved(layer: torch.nn.Module) -> torch.nn.Module:
    """The layer in float64, its parameters away from where they start."""
    for parameter in layer.double().parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return layer


def test_the_first_colour_of_a_chessboard_has_the_upper_left_pixel() -> None:
    first, second = Checkerboard((3, 4, 4)).split(IMAGE)
    assert first.shape == second.shape == (6, 2, 2)
    for c in range(3):
        for a in range(2):
            for b in range(2):
                assert first[c, a, b] == IMAGE[c, 2 * a, 2 * b]
                assert first[3 + c, a, b] == IMAGE[c, 2 * a + 1, 2 * b + 1]
                assert second[c, a, b] == IMAGE[c, 2 * a, 2 * b + 1]
                assert second[3 + c, a, b] == IMAGE[c, 2 * a + 1, 2 * b]


def test_neighbors_on_a_chessboard_have_two_colours() -> None:
    row, column = torch.meshgrid(torch.arange(4), torch.arange(6), indexing="ij")
    colours = ((row + column) % 2).float().unsqueeze(0)
    first, second = Checkerboard((1, 4, 6)).split(colours)
    assert first.eq(0).all() and second.eq(1).all()


@pytest.mark.parametrize("partition", [Channels((3, 4, 4)), Checkerboard((3, 4, 4))], ids=lambda p: p.kind)
@pytest.mark.parametrize("batch", [(), (2,), (2, 0), (2, 5)], ids=str)
def test_what_is_split_comes_together(partition, batch) -> None:
    z = torch.randn(*batch, 3, 4, 4)
    for parts in (partition, partition.flipped()):
        kept, moved = parts.split(z)
        assert kept.shape == (*batch, *parts.kept_shape) and moved.shape == (*batch, *parts.moved_shape)
        assert torch.equal(parts.join(kept, moved), z)
    assert torch.equal(partition.split(z)[0], partition.flipped().split(z)[1])


def test_odd_channels_keep_one_more() -> None:
    partition = Channels((3, 4, 4))
    assert torch.equal(partition.split(IMAGE)[0], IMAGE[:2])
    assert (partition.kept, partition.moved) == (2, 1)
    assert (partition.flipped().kept, partition.flipped().moved) == (1, 2)


def test_a_network_speaks_channel_by_channel_its_parameters_side_by_side() -> None:
    told = torch.arange(48.0).reshape(6, 2, 4)  # 2 moved channels × 3 parameters
    params = Channels((4, 2, 4)).params(told, 3)
    assert params.shape == (2, 2, 4, 3)
    for k in range(2):
        for p in range(3):
            assert torch.equal(params[k, ..., p], told[3 * k + p])


@pytest.mark.parametrize("net", [ConvNet, GlowNet])
@pytest.mark.parametrize("partition", [Channels((3, 4, 4), True), Checkerboard((3, 4, 4))], ids=lambda p: p.kind)
def test_a_coupling_of_images_keeps_what_it_says_and_sees_its_class(net, partition) -> None:
    torch.manual_seed(0)
    conditioner = net(partition.kept, 2 * partition.moved, width=6, context_dim=3)
    layer = moved(Coupling(Affine(), conditioner, partition, context_dim=3))
    z, context = torch.randn(5, 3, 4, 4, dtype=DOUBLE), torch.eye(3, dtype=DOUBLE)[[0, 1, 2, 0, 1]]
    x, _ = layer(z, context)
    assert torch.equal(partition.split(x)[0], partition.split(z)[0])
    assert torch.allclose(layer.inverse(x, context)[0], z)
    assert not torch.allclose(layer(z, context.flip(1))[0], x)
    assert torch.allclose(layer(z, context[0])[0][0], x[0])  # one context serves every image
    pairs = layer(z.expand(2, 5, 3, 4, 4), context)[0]  # and one for each of five serves two rows of them
    assert torch.allclose(pairs, x.expand_as(pairs))
    for wrong in (None, torch.zeros(5, 2, dtype=DOUBLE)):
        with pytest.raises(ValueError, match=r"needs a context of shape \(\.\.\., 3\)"):
            layer(z, wrong)


def test_an_image_layer_without_context_refuses_one() -> None:
    with pytest.raises(ValueError, match="takes no context"):
        Coupling(Affine(), ConvNet(1, 2), Channels((2, 4, 4)))(torch.zeros(2, 4, 4), torch.zeros(1))


def test_prove_works_on_image_couplings() -> None:
    torch.manual_seed(0)
    partition = Checkerboard((1, 4, 4))
    assert prove(moved(Coupling(Affine(), ConvNet(partition.kept, 2 * partition.moved, 6, 1), partition))).holds


@pytest.mark.parametrize("net", [ConvNet, GlowNet])
def test_an_answer_does_not_depend_on_the_other_images(net) -> None:
    torch.manual_seed(0)
    network, x = moved(net(2, 3, width=6)), torch.randn(5, 2, 4, 4, dtype=DOUBLE)
    assert torch.allclose(network(x)[2], network(x[2]), atol=1e-12)


BAD = [
    (lambda: Checkerboard((1, 7, 8)), "Checkerboard: H and W must be even; got (1, 7, 8)"),
    (lambda: Channels((1, 4, 4)), "Channels: the number of channels must be a whole number, 2 or more; got 1"),
    (lambda: Channels(4), "Channels: shape must be three whole numbers (C, H, W); got 4"),
    (lambda: ConvNet(1, 2, width=0), "ConvNet: width must be a whole number, 1 or more; got 0"),
    (lambda: ConvNet(1, 2, blocks=-1), "ConvNet: blocks must be a whole number, 0 or more; got -1"),
    (lambda: GlowNet(1, 0), "GlowNet: outputs must be a whole number, 1 or more; got 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_arguments(call, message: str) -> None:
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value)
