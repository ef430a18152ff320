"""How near to the truth flowlib and its peers get in equal steps: part of `make bench`, some 40 minutes of one core.

Couplings: every library trains the same architecture (see `peers.py`), from its own start, with the same Adam on the
same batches of fresh points, and is scored by the mean of −log q over the same held-out points. The truth's own score
on these points is the floor. Planar flows: reverse KL against the energies U1 to U4 of Rezende and Mohamed, whose log Z
is known, so KL(q ‖ p) = E_q[log q + U] + log Z. Shown are medians over the seeds, in nats, smaller is better.

A verdict compares flowlib's median with the best peer's:

    below    it is not larger
    level    it is larger by no more than the seeds scatter: the larger range (max − min) of the two over the seeds
    above    it is larger by more than that
"""

import argparse
import statistics
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from benchmarks.peers import BUILDERS, PEERS, normflows_planar
from flowlib import models
from flowlib.datasets import Density, Energy, energies, toy
from flowlib.training.fit import fit

TARGETS = ("two_moons", "eight_gaussians", "checkerboard", "pinwheel", "two_spirals")
COUPLINGS = {"affine": "RealNVP", "spline": "NSF"}
STEPS, BATCH, LR, HELD_OUT = 1000, 512, 2e-3, 20_000
LENGTHS, PLANAR_STEPS, PLANAR_LR, SAMPLES = (2, 8, 32), 2000, 0.01, 100_000
RECIPES = (models.real_nvp, models.spline_flow, models.maf, models.spline_maf)
LIBRARIES = ["flowlib", *PEERS]

Scores = dict[str, list[float]]  # library -> one score a seed


def descend(flow: nn.Module, losses: Iterator[Tensor], lr: float) -> None:
    """Plain Adam down one loss after the other."""
    optimizer = torch.optim.Adam([p for p in flow.parameters() if p.requires_grad], lr=lr)
    for loss in losses:
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def likelihood(build: Callable[[], nn.Module], data: Density, seed: int) -> float:
    """The held-out score, −mean log q, of a flow trained on batches that depend on the seed alone."""
    torch.manual_seed(seed)
    flow = build()
    batches = data.sample(STEPS * BATCH, seed=seed).split(BATCH)
    descend(flow, (-flow.log_prob(x).mean() for x in batches), LR)
    return mean_score(flow, data)


@torch.no_grad()
def mean_score(density: nn.Module | Density, data: Density) -> float:
    """−mean log q over the held-out points, whose seed no training uses."""
    return -density.log_prob(data.sample(HELD_OUT, seed=10**6)).mean().item()


def planar(library: str, length: int) -> nn.Module:
    return models.planar_flow(layers=length) if library == "flowlib" else normflows_planar(length)


def reverse_kl(library: str, length: int, energy: Energy, seed: int) -> float:
    """The exact KL(q ‖ p) of a planar flow trained against the energy, which is turned up in the first half."""
    torch.manual_seed(seed)
    flow = planar(library, length)
    draw = flow.sample_with_log_prob if library == "flowlib" else flow.sample

    def loss(step: int) -> Tensor:
        x, log_q = draw(BATCH)
        return (log_q + min(1.0, 0.01 + 2 * step / PLANAR_STEPS) * energy(x)).mean()

    descend(flow, map(loss, range(PLANAR_STEPS)), PLANAR_LR)
    with torch.no_grad():
        x, log_q = draw(SAMPLES)
        return (log_q + energy(x)).mean().item() + energy.log_z


def verdict(scores: Scores) -> str:
    """flowlib beside the best peer; the rule stands at the top of this file."""
    median = {library: statistics.median(found) for library, found in scores.items()}
    best = min((library for library in scores if library != "flowlib"), key=median.get)
    more = median["flowlib"] - median[best]
    scatter = max(max(scores[library]) - min(scores[library]) for library in ("flowlib", best))
    word = "below" if more <= 0 else "level" if more <= scatter else "above"
    return f"{word} {best} by {abs(more):.3f}, scatter {scatter:.3f}"


def line(label: str, floor: str, scores: Scores) -> None:
    cells = "".join(
        f"{statistics.median(scores[name]):>11.4f}" if name in scores else f"{'':>11}" for name in LIBRARIES
    )
    print(f"{label:<26}{floor:>9}{cells}   {verdict(scores)}", flush=True)


def couplings(seeds: range) -> None:
    for target in TARGETS:
        data = toy.get(target)
        for kind, task in COUPLINGS.items():
            scores = {
                library: [likelihood(build, data, seed) for seed in seeds] for library, build in BUILDERS[task].items()
            }
            line(f"{target} {kind}", f"{mean_score(data, data):.4f}", scores)


def planars(seeds: range) -> None:
    for name in energies.NAMES:
        for length in LENGTHS:
            scores = {
                library: [reverse_kl(library, length, energies.get(name), seed) for seed in seeds]
                for library in BUILDERS["planar"]
            }
            line(f"{name} planar K = {length}", "0", scores)


def defaults(seeds: range) -> None:
    """`fit` as it comes: nats above the truth on the held-out points, and seconds."""
    for target in ("two_moons", "eight_gaussians"):
        data = toy.get(target)
        for recipe in RECIPES:
            gaps, seconds = [], []
            for seed in seeds:
                torch.manual_seed(seed)
                flow = recipe()
                seconds.append(fit(flow, data, seed=seed).seconds)
                gaps.append(mean_score(flow, data) - mean_score(data, data))
            print(
                f"{target:<18}{recipe.__name__:<14}{statistics.median(gaps):8.4f} nats above the truth"
                f"{statistics.median(seconds):7.1f} s",
                flush=True,
            )


PARTS = {"couplings": couplings, "planar": planars, "defaults": defaults}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=list(PARTS), choices=PARTS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("nats, smaller is better")
    print(f"{'':<26}{'truth':>9}" + "".join(f"{library:>11}" for library in LIBRARIES))
    for part in options.parts:
        PARTS[part](range(options.seeds))


if __name__ == "__main__":
    main()
