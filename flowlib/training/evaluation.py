"""How good an image model is: bits per dimension on held-out images, with their error, and a picture of samples.

The bits are an upper bound, because the noise of dequantization is drawn. With k draws an image there are two bounds:

    bits_per_dim    the mean over the draws of −log₂ (P_draw) / D               what training lowers
    bound           −log₂ of the mean over the draws of P_draw, / D             tighter with k (importance weights)

Every number depends on the model, the images, k and the seed alone, not on how many processes share the work.
"""

import io
import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from flowlib.core import bits
from flowlib.datasets.images import Split
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.training.processes import ALONE, Processes
from flowlib.training.seeds import EVALUATION, SAMPLES, mixed

ROWS = 1024  # images times draws in one pass


@dataclass(frozen=True)
class Score:
    """Bits per dimension on some images: the mean, and the standard error of it as an estimate for all such images."""

    images: int
    draws: int
    bits_per_dim: float
    error: float
    bound: float
    bound_error: float

    def __str__(self) -> str:
        own = f"{self.bits_per_dim:.4f} ± {self.error:.4f} bits per dimension on {self.images:,} images"
        return own + (f", {self.bound:.4f} by the bound of {self.draws} draws" if self.draws > 1 else "")

    def as_card(self) -> dict[str, float]:
        return asdict(self)


def one_hot_labels(labels: Tensor, classes: int) -> Tensor | None:
    """The labels as a context (n, classes), or None for a model without one."""
    return one_hot(labels, classes).float() if classes else None


@torch.no_grad()
def score(
    model: PixelFlow, split: Split, classes: int = 0, draws: int = 1, images: int | None = None, seed: int = 0,
    processes: Processes = ALONE,
) -> Score:  # fmt: skip
    """The bits per dimension of a model in eval mode, on the first `images` of a split, all if not given."""
    count = len(split) if images is None else min(images, len(split))
    device, rows = next(model.parameters()).device, max(1, ROWS // draws)
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for i, start in enumerate(range(0, count, rows)):
            if i % processes.count != processes.rank:
                continue
            torch.manual_seed(mixed(seed, EVALUATION, i))
            part = slice(start, min(start + rows, count))
            pixels = split.images[part].to(device)
            context = one_hot_labels(split.labels[part].to(device), classes)
            told = None if context is None else context.expand(draws, *context.shape)
            nats = model.log_prob(pixels.expand(draws, *pixels.shape), told).double()  # (draws, n)
            dim = model.data_shape.numel()
            each = bits(torch.stack([nats.mean(0), nats.logsumexp(0) - math.log(draws)]), dim)  # (2, n)
            sums += torch.cat([each.sum(-1), each.square().sum(-1)])
    mean, bound, square, bound_square = (processes.total(sums) / count).tolist()
    errors = [math.sqrt(max(0.0, b - a * a) / max(1, count - 1)) for a, b in ((mean, square), (bound, bound_square))]
    return Score(count, draws, mean, errors[0], bound, errors[1])


def samples(
    model: PixelFlow, n: int, classes: int = 0, temperature: float = 1.0, label: int | None = None, seed: int = 0
) -> Tensor:
    """n images, uint8 (n, C, H, W); of a model with classes, of one class or of each in turn."""
    device = next(model.parameters()).device
    labels = torch.arange(n, device=device) % max(1, classes) if label is None else torch.full((n,), label).to(device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(mixed(seed, SAMPLES))
        return model.sample(n, one_hot_labels(labels, classes), temperature).cpu()


def picture(images: Tensor, levels: int, columns: int = 10) -> bytes:
    """Images (n, C, H, W) with C = 1 or 3 as one PNG, in rows of `columns`, each pixel a square of at least 1 × 1."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError("A picture of samples needs Pillow: pip install pillow") from error
    n, _, height, width = images.shape
    scale = max(1, 56 // width)
    shades = (images.long() * 255 // (levels - 1)).to(torch.uint8).expand(-1, 3, -1, -1)
    shades = shades.repeat_interleave(scale, -1).repeat_interleave(scale, -2)
    height, width, gap = height * scale, width * scale, 2
    rows = math.ceil(n / columns)
    page = torch.full((3, rows * (height + gap) + gap, columns * (width + gap) + gap), 127, dtype=torch.uint8)
    for i, image in enumerate(shades):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        page[:, top : top + height, left : left + width] = image
    file = io.BytesIO()
    Image.fromarray(page.permute(1, 2, 0).contiguous().numpy()).save(file, format="PNG")
    return file.getvalue()
