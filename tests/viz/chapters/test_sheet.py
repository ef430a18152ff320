"""A sheet of images."""

import io

import torch

from flowlib.viz.chapters.sheet import sheet_png


def test_a_sheet_has_a_row_for_ten_images_and_colors():
    from PIL import Image

    images = torch.zeros(11, 3, 32, 32, dtype=torch.uint8)
    images[10, 0] = 255
    with Image.open(io.BytesIO(sheet_png(images, 256))) as page:
        assert page.size == (10 * 34 + 2, 2 * 34 + 2)  # gaps of 2
        assert page.getpixel((3, 3)) == (0, 0, 0) and page.getpixel((3, 37)) == (255, 0, 0)
        assert page.getpixel((0, 0)) == page.getpixel((40, 40)) == (127, 127, 127)  # what is left of the last row


def test_small_images_are_enlarged_and_all_levels_used():
    from PIL import Image

    images = torch.full((2, 1, 8, 8), 16, dtype=torch.uint8)
    with Image.open(io.BytesIO(sheet_png(images, 17, columns=2))) as page:
        assert page.size == (2 * 58 + 2, 60)
        assert page.getpixel((2, 2)) == page.getpixel((57, 57)) == (255, 255, 255)
