"""Digits by a pen: what is asked for is what is drawn."""

import pytest
import torch

from flowlib.datasets import strokes
from flowlib.pixels.latents import slant, thickness

TEN = torch.arange(10)


def test_images_are_like_those_of_mnist() -> None:
    images = strokes.draw(TEN)
    assert images.shape == (10, 1, 28, 28) and images.dtype == torch.uint8
    assert images.amax((1, 2, 3)).eq(255).all()
    rim = torch.cat([images[..., 0, :], images[..., -1, :], images[..., 0], images[..., -1]], -1)
    assert rim.eq(0).all()


@pytest.mark.parametrize("width", [1.5, 2.0, 2.5, 3.0, 3.5])
def test_strokes_are_as_thick_as_asked_for(width: float) -> None:
    measured = thickness(strokes.draw(TEN, width, wobble=0.04) / 255)
    assert (measured / width - 1).abs().max() < 0.15 and abs(measured.mean() - width) < 0.2


def test_ink_leans_as_asked_for() -> None:
    upright, leaning = (slant(strokes.draw(TEN, slant=s) / 255) for s in (0.0, 0.3))
    assert ((leaning - upright) - 0.3).abs().max() < 0.06


def test_each_image_may_have_its_own_pen() -> None:
    both = strokes.draw([4, 4], torch.tensor([1.5, 3.5]), torch.tensor([0.0, 0.3]))
    assert torch.equal(both[0], strokes.draw([4], 1.5, 0.0)[0]) and torch.equal(both[1], strokes.draw([4], 3.5, 0.3)[0])


def test_a_seed_is_a_hand() -> None:
    one, same, other = (strokes.draw(TEN, wobble=0.04, seed=s) for s in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    twice = strokes.draw([3, 3], wobble=0.04)
    assert not torch.equal(twice[0], twice[1])


def test_there_are_ten_digits() -> None:
    with pytest.raises(ValueError, match="from 0 to 9; got -1"):
        strokes.draw([3, -1])
