"""A picture, the score of each pixel and the mask, if there is one, side by side: `flowlib evaluate` writes them."""

import io

import numpy as np
from PIL import Image
from torch import Tensor

from flowlib.viz.engine.theme import TABLES

SIDE, GAP = 256, 6  # px


def heat_png(image: Tensor, scores: Tensor, mask: Tensor | None, threshold: float) -> bytes:
    """Image (C, H, W) uint8, scores (H, W) and mask (H, W), if there is one -> PNG.

    The middle of the colours is the threshold.

    >>> import torch
    >>> heat_png(torch.zeros(1, 8, 8, dtype=torch.uint8), torch.zeros(8, 8), torch.zeros(8, 8).bool(), 1.0)[1:4]
    b'PNG'
    """
    low = min(float(scores.median()), threshold - 1e-6)
    levels = (127.5 * (scores - low) / (threshold - low)).clamp(0, 255).byte().numpy()  # (H, W)
    parts = [
        image.expand(3, -1, -1).permute(1, 2, 0).numpy(),
        np.asarray(TABLES["base"], dtype=np.uint8)[levels],
    ]
    if mask is not None:
        parts.append(np.repeat(255 * mask.numpy().astype(np.uint8)[..., None], 3, -1))
    high = round(SIDE * image.shape[-2] / image.shape[-1])
    page = Image.new("RGB", (len(parts) * (SIDE + GAP) - GAP, high), (127, 127, 127))
    for k, part in enumerate(parts):
        page.paste(Image.fromarray(np.ascontiguousarray(part)).resize((SIDE, high)), (k * (SIDE + GAP), 0))
    file = io.BytesIO()
    page.save(file, format="PNG")
    return file.getvalue()
