"""Glow on the digits of scikit-learn, in bits per dimension: `python -m benchmarks.digits`.

1,797 images of 8 × 8 pixels with 17 values, 80 % to learn from and 20 % to be judged by. Glow of 2 scales × 4 steps,
three-layer networks of 64 channels, 1000 steps of Adam on batches of 128. Beside it the floor that anyone can reach
without a flow: one Gaussian with a full covariance, on dequantized pixels.

A standard error is that of the mean over the test images; both models are judged with the same number of noise draws.
"""

import argparse
import math
import time

import torch
from torch import Tensor

from flowlib.core import bits
from flowlib.datasets import images
from flowlib.models import real_nvp
from flowlib.models.images import glow
from flowlib.pixels.pixel_flow import PixelFlow, VariationalDequantize
from flowlib.training import loop
from flowlib.training.loop import Descent, learn_units, trained

GOAL, GAUSSIAN = 2.45, 2.98
DRAWS = 20  # of noise for each test image


def gaussian_bits(train: Tensor, test: Tensor) -> Tensor:
    """One full-covariance Gaussian on v = x + u, in bits per dimension: (n, C, H, W) -> (n,), a mean over draws.

    Its mean and covariance are those of the training pixels, to which uniform noise adds ½ and 1/12 exactly.
    """
    x, test = train.flatten(1).double(), test.flatten(1).double()
    covariance = x.T.cov() + torch.eye(x.shape[1]) / 12.0
    gaussian = torch.distributions.MultivariateNormal(x.mean(0) + 0.5, covariance)
    return bits(gaussian.log_prob(test + torch.rand(DRAWS, *test.shape)), x.shape[1]).mean(0)


def train(model: PixelFlow, pixels: Tensor, steps: int, batch: int, lr: float) -> None:
    """Adam, its step following a cosine from lr to 0; the last weights count, none are chosen."""
    learn_units(model, pixels)
    descent = Descent(trained(model), clip=5.0)

    def take_step(lr: float) -> None:
        descent.take_step(lr, model.bits_per_dim(pixels[torch.randint(len(pixels), [batch])]).mean())

    loop.run(take_step, lambda: descent.step / steps, lambda done, stop: None, lr=lr)
    descent.read()  # a loss that is not a number is found here
    model.eval()


def line(name: str, values: Tensor, goal: str) -> None:
    error = values.std() / math.sqrt(len(values))
    print(f"{name:<40}{values.mean():>8.3f} ± {error:.3f}  {goal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variational", action="store_true", help="noise from a flow that sees the image")
    parser.add_argument("--validate", action="store_true", help="learn from 70 %%, judge by the validation part")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    data = images.digits()
    known, test = torch.cat([data.train.images, data.validation.images]), data.test.images
    if options.validate:
        known, test = data.train.images, data.validation.images
    print(f"bits per dimension, {len(test)} images that were not learned from")
    torch.set_default_dtype(torch.float64)
    line("one full-covariance Gaussian", gaussian_bits(known, test), f"expected {GAUSSIAN}")
    torch.set_default_dtype(torch.float32)
    flow, noise, dim = glow(data.shape, scales=2, steps=4, width=64), "uniform", data.shape.numel()
    if options.variational:
        noise = VariationalDequantize(data.shape, data.levels, real_nvp(dim, 4, (64, 64), context_dim=dim))
    model = PixelFlow(flow, data.levels, noise, options.alpha)
    start = time.perf_counter()
    train(model, known, options.steps, 128, options.lr)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        found = torch.stack([model.bits_per_dim(test) for _ in range(DRAWS)]).mean(0)
        line("Glow, 2 scales × 4 steps", found, f"goal {GOAL}, {seconds:.0f} s")
        line("the same on what it learned from", model.bits_per_dim(known), "")
        line("the same, bound of 50 draws of noise", bits(model.bound(test, 50), dim), "")
    print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    print(model.ledger(test))


if __name__ == "__main__":
    main()
