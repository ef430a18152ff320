"""Outlier scores: the units, the compressor and the background model."""

import json
import math
import struct
import zlib
from pathlib import Path

import pytest
import torch

from flowlib.models import input_complexity, likelihood_ratio, neighbour_background, png_bits, surprise, typicality


def images(n: int, seed: int = 0) -> torch.Tensor:
    """Smooth images with a little noise, uint8 (n, 1, 12, 9)."""
    draw = torch.Generator().manual_seed(seed)
    slope = torch.rand(n, 1, 1, 1, generator=draw) * torch.arange(9.0) * 20
    return (slope + 3 * torch.rand(n, 1, 12, 9, generator=draw)).to(torch.uint8)


def test_surprise_is_in_bits() -> None:
    assert torch.allclose(surprise(torch.tensor([-math.log(2.0), -math.log(1024.0)])), torch.tensor([1.0, 10.0]))


def test_typicality_has_two_sides() -> None:
    known = -math.log(2.0) * torch.tensor([90.0, 110.0])
    score = typicality(-math.log(2.0) * torch.tensor([60.0, 100.0, 140.0]), known)
    assert torch.allclose(score, torch.tensor([40.0, 0.0, 40.0]), atol=1e-4)


def decoded(pixels: torch.Tensor) -> tuple[torch.Tensor, float]:
    """An image that goes through Pillow's PNG and back, and the bits of its compressed body."""
    from io import BytesIO

    import numpy as np
    from PIL import Image

    file = BytesIO()
    Image.fromarray(pixels.numpy()).save(file, "PNG", optimize=True)
    data, at, size = file.getvalue(), 8, 0
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        size += length if data[at + 4 : at + 8] == b"IDAT" else 0
        at += 12 + length
    return torch.from_numpy(np.array(Image.open(BytesIO(data)))), 8.0 * size


def test_png_bits_are_near_those_of_a_real_file() -> None:
    for image in images(4):
        real = decoded(image[0])[1]
        assert abs(png_bits(image[None]).item() - real) < 0.15 * real


def test_png_bits_know_flat_from_rough() -> None:
    flat = torch.full((1, 1, 28, 28), 7, dtype=torch.uint8)
    rough = torch.randint(256, (1, 1, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert png_bits(flat) < 300 and png_bits(rough) > 8 * 28 * 28
    plain = 8 * len(zlib.compress(rough.numpy().tobytes(), 9))
    assert abs(png_bits(rough).item() - plain) < 0.1 * plain


def test_input_complexity_is_a_difference_of_bits_of_the_whole_image() -> None:
    x, log_prob = images(3), torch.tensor([-100.0, -200.0, -300.0])
    assert torch.allclose(input_complexity(log_prob, x), -log_prob / math.log(2.0) - png_bits(x))


def test_the_background_is_a_probability_and_knows_neighbours() -> None:
    two = torch.randint(2, (50, 1, 2, 2), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    every = torch.tensor([[(k >> b) & 1 for b in range(4)] for k in range(16)]).reshape(16, 1, 2, 2).to(torch.uint8)
    assert abs(neighbour_background(two, levels=2)(every).exp().sum().item() - 1) < 1e-5
    b = neighbour_background(images(200, 1))
    mixed = images(20, 2).flatten(2)[..., torch.randperm(108, generator=torch.Generator().manual_seed(0))]
    assert b(images(20, 2)).mean() > b(mixed.reshape(20, 1, 12, 9)).mean() + 50


def test_bad_input_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"png_bits expects grey images, uint8 \(n, 1, H, W\); got torch.float32"):
        png_bits(torch.zeros(2, 1, 4, 4))
    with pytest.raises(ValueError, match="one log-likelihood for each image; got 2 and 3 images"):
        input_complexity(torch.zeros(2), images(3))
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        likelihood_ratio(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="known is empty"):
        typicality(torch.zeros(2), torch.zeros(0))


def test_the_stored_table_shows_the_paradox_and_a_remedy() -> None:
    """`python -m tools.paradox` made it."""
    stored = json.loads((Path(__file__).parents[2] / "notebooks" / "data" / "paradox.json").read_text())
    garments, digits = ({row["score"]: row for row in each["scores"]} for each in stored["directions"])
    assert garments["surprise"]["high"] < 0.2 and digits["surprise"]["low"] > 0.95
    assert min(each["input complexity"]["low"] for each in (garments, digits)) > 0.95
    assert digits["nats less bits"]["high"] < 0.5 < garments["nats less bits"]["low"]  # the mistake shows in one alone
    table = {row["score"]: row for row in stored["table"]["scores"]}
    assert table["flow"]["low"] > max(table["Mahalanobis"]["high"], table["isolation forest"]["high"])
