"""A sheet of images as one PNG, as `flowlib train` and `flowlib sample` write it."""

import io
import math

import torch
from torch import Tensor

SIDE, GAP = 56, 2  # width of a small image on the sheet, and of what lies between two, in pixels


def sheet_png(images: Tensor, levels: int, columns: int = 10) -> bytes:
    """Images (n, C, H, W) with C = 1 or 3 as one PNG, in rows of `columns`, each pixel a square of at least 1 × 1.

    >>> sheet_png(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), levels=17)[1:4]
    b'PNG'
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("A picture of samples needs Pillow: pip install pillow") from error
    n, _, height, width = images.shape
    scale = max(1, SIDE // width)
    shades = (images.long() * 255 // (levels - 1)).to(torch.uint8).expand(-1, 3, -1, -1)
    shades = shades.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    height, width, gap = height * scale, width * scale, GAP
    rows = math.ceil(n / columns)
    page = torch.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), 127, dtype=torch.uint8)
    for i, image in enumerate(shades):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        page[:, top : top + height, left : left + width] = image
    file = io.BytesIO()
    Image.fromarray(page.permute(1, 2, 0).contiguous().numpy()).save(file, format="PNG")
    return file.getvalue()


def sheet_file(images: Tensor, levels: int, ending: str) -> bytes:
    """The sheet in the format of an ending such as ".jpg"; ValueError if there is none.

    >>> sheet_file(torch.zeros(3, 1, 8, 8, dtype=torch.uint8), 17, ".jpg")[6:10]
    b'JFIF'
    """
    page = sheet_png(images, levels)
    from PIL import Image

    kind = Image.registered_extensions().get(ending.lower())
    if kind not in Image.SAVE:
        raise ValueError(f"sample: there is no picture format for {ending!r}. Let the file end in .png, .jpg or .npy.")
    file = io.BytesIO()
    with Image.open(io.BytesIO(page)) as picture:
        picture.convert("RGB").save(file, format=kind)
    return page if kind == "PNG" else file.getvalue()
