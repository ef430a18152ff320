"""How good an image model is: bits per dimension on held-out images, with their error, and samples of it.

The bits are an upper bound, because the noise of dequantization is drawn. With k draws an image there are two bounds:

    bits_per_dim    the mean over the draws of −log₂ (P_draw) / D               what training lowers
    bound           −log₂ of the mean over the draws of P_draw, / D             tighter with k (importance weights)

Every number depends on the model, the images, k and the seed alone, not on how many processes share the work.
"""

import math
from dataclasses import asdict, dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from flowlib.core import bits
from flowlib.datasets.images import ImageSet, Split
from flowlib.pixels.pixel_flow import PixelFlow, bound
from flowlib.training.processes import ALONE, Processes
from flowlib.training.seeds import EVALUATION, SAMPLES, mixed, seeded

ROWS = 1024  # images times draws in one pass


@dataclass(frozen=True)
class Score:
    """Bits per dimension on some images: the mean, and the standard error of it as an estimate for all such images.

    `noise` is the standard error of the mean that comes of the draws alone, on these images; nan for a single draw.
    """

    images: int
    draws: int
    bits_per_dim: float
    error: float
    bound: float
    bound_error: float
    noise: float = math.nan

    def __str__(self) -> str:
        own = f"{self.bits_per_dim:.4f} ± {self.error:.4f} bits per dimension on {self.images:,} images"
        return own + (f", {self.bound:.4f} by the bound of {self.draws} draws" if self.draws > 1 else "")

    def as_card(self) -> dict[str, float]:
        return {name: value for name, value in asdict(self).items() if value == value}

    @classmethod
    def from_card(cls, card: object, source: str) -> "Score":
        """The score that a card holds; ValueError in words if it is none."""
        known = {each.name: each for each in fields(cls)}
        try:
            score = cls(**{name: float(value) for name, value in card.items() if name in known})
            return replace(score, images=int(score.images), draws=int(score.draws))
        except (TypeError, ValueError, AttributeError):
            raise ValueError(f'{source}: its card has no score that can be read under "test": {card!r}.') from None


def classes_of(data: ImageSet) -> int:
    """How many classes the images have; a rare one may be missing among those for training."""
    return 1 + max(int(part.labels.max()) for part in (data.train, data.validation, data.test))


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
    device, rows, dim = next(model.parameters()).device, max(1, ROWS // draws), model.data_shape.numel()
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    for i, start in enumerate(range(0, count, rows)):
        if i % processes.count != processes.rank:
            continue
        part = slice(start, min(start + rows, count))
        pixels, context = split.images[part].to(device), one_hot_labels(split.labels[part].to(device), classes)
        with seeded(mixed(seed, EVALUATION, i), device):
            nats = model.log_probs(pixels, draws, context).double()  # (draws, n)
        each = bits(torch.stack([nats.mean(0), bound(nats)]), dim)  # (2, n)
        of_draws = (
            bits(nats, dim).var(0).sum() / draws if draws > 1 else sums[4] * math.nan
        )  # of the mean of each image
        sums += torch.cat([each.sum(-1), each.square().sum(-1), of_draws[None]])
    mean, tighter, square, tighter_square, of_draws = (processes.total(sums) / count).tolist()
    errors = [
        math.sqrt(max(0.0, b - a * a) / max(1, count - 1)) for a, b in ((mean, square), (tighter, tighter_square))
    ]
    return Score(count, draws, mean, errors[0], tighter, errors[1], math.sqrt(of_draws / count))


def samples(
    model: PixelFlow, n: int, classes: int = 0, temperature: float = 1.0, label: int | None = None, seed: int = 0
) -> Tensor:
    """n images, uint8 (n, C, H, W); of a model with classes, of one class or of each in turn."""
    device = next(model.parameters()).device
    labels = torch.arange(n, device=device) % max(1, classes) if label is None else torch.full((n,), label).to(device)
    with seeded(mixed(seed, SAMPLES), device):
        return model.sample(n, one_hot_labels(labels, classes), temperature).cpu()
