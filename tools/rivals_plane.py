"""A flow, a VAE, a GAN that plays three games, and a diffusion model on one ring of eight Gaussians, for notebook 12a.

    python -m tools.rivals_plane          in about ten minutes on one free core
    python -m tools.rivals_plane --longer in about eight: all of them again with eight times the steps, three seeds

All see the same 10,000 points, have 19,200 to 19,800 parameters (those of critic and encoder counted) and so many steps
that each trains for about the same seconds of one core; they are written beside the steps. The length of the first step
was chosen from two or three for each model by the least misplaced mass on a seed that is not used here (the saturating
game takes that of the non-saturating one). Ten seeds; a run **fails** if one of the eight modes gets less than a
quarter of its share of the samples, or if more than a tenth of them is farther than four deviations from every centre:
the rule was written before the first of the ten was run.

`misplaced` is half the sum of |share − true share| over the eight modes and the rest. The first five seeds are scored:
by samples alone (2,000 against 2,000 fresh points), in nats above the floor (2,000 fresh points; `of some`: 100), by a
kernel density of 10,000 samples whose width is chosen on samples, and as a judge of outliers: the area under the curve
for 2,000 points spread evenly over the window, away from all modes. Written are notebooks/data/rivals_plane.json and,
samples and densities of the first seed at 13 moments, the last samples of each seed, and samples from rings of 1 to 10
Gaussians, flowlib/models/trained/rivals_plane.safetensors. `--longer` keeps the models and the lengths of the first
step, stretches each schedule over its steps, and writes one more part of the JSON, `longer`: the plain run leaves it.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn

from flowlib import Flow
from flowlib.datasets import Density, toy
from flowlib.models import GAN, VAE, Diffusion, spline_flow
from flowlib.models.checkpoint import FOLDER
from flowlib.training import (
    History,
    ais,
    auroc,
    fit,
    fit_diffusion,
    fit_gan,
    fit_matching,
    fit_vae,
    kernel_log_prob,
    mode_shares,
    nearest_neighbour_test,
    precision_recall,
    sliced_wasserstein,
)
from flowlib.training.matching import diffusion
from tools.families import OUT as FAMILIES_OUT
from tools.families import cpu_seconds, parameters
from tools.parts import write_parts

OUT, WEIGHTS = FAMILIES_OUT.with_name("rivals_plane.json"), FOLDER / "rivals_plane.safetensors"
COMMAND = "python -m tools.rivals_plane"
SEEDS, SCORED, MOST_MODES = 10, 5, 10
PART = 1 / 2  # of the steps, for the rings of other sizes
TIMES, FEW = 8, 3  # so many times the steps, so many seeds: --longer
SPANS = ((0.0, 0.1), (0.25, 0.75), (0.9, 1.0))  # of the diffusion's time, noise to data, where its velocity is judged
BATCH, ROWS, SNAPSHOTS = 256, 10_000, 13
TEST, JUDGED, SAMPLES, STORED, OF_CURVE = 2000, 100, 10_000, 400, 1000
WINDOW, PIXELS, HALF = 4.0, 64, 0.6  # of the stored maps; HALF: the density that is stored as half of the range
CODES = 201  # codes a side of the grid over which the likelihood of a VAE is summed
WIDTHS = (0.03, 0.05, 0.07, 0.1, 0.14, 0.2)  # of a kernel
NOISE, DEVIATIONS = 0.2, 4.0
TRUTH = toy.ring_of_gaussians(8, NOISE)


@dataclass(frozen=True)
class Rival:
    """A model and how it is trained: train(model, x, steps, lr, seed, snapshots), so many steps."""

    recipe: Callable[[], nn.Module]
    train: Callable[[nn.Module, Tensor, int, float, int, int], History]
    steps: int
    lr: float


def gan(game: str) -> Callable:
    def train(model: GAN, x: Tensor, steps: int, lr: float, seed: int, snapshots: int) -> History:
        return fit_gan(model, x, steps, BATCH, lr, game=game, seed=seed, snapshots=snapshots)

    return train


def by(function: Callable) -> Callable:
    def train(model: nn.Module, x: Tensor, steps: int, lr: float, seed: int, snapshots: int) -> History:
        return function(model, x, steps, BATCH, lr, seed=seed, snapshots=snapshots)

    return train


def plain_gan() -> GAN:
    return GAN(2, hidden=[96, 96])


RIVALS = {
    "flow": Rival(lambda: spline_flow(2, layers=4, hidden=[60, 60], bins=6), by(fit), 1000, 1e-2),
    "VAE": Rival(lambda: VAE(2, dim=2, hidden=[92, 92]), by(fit_vae), 2600, 1e-2),
    "GAN": Rival(plain_gan, gan("non-saturating"), 1600, 3e-3),
    "diffusion": Rival(lambda: Diffusion(2, hidden=[136, 136], steps=16), by(fit_diffusion), 2600, 1e-2),
    "GAN, Wasserstein": Rival(plain_gan, gan("wasserstein"), 320, 5e-3),
    "GAN, saturating": Rival(plain_gan, gan("saturating"), 1600, 3e-3),
}
FOUR = ("flow", "VAE", "GAN", "diffusion")


def run(rival: Rival, x: Tensor, steps: int, seed: int, snapshots: int = 0) -> tuple[nn.Module, History, float]:
    """The trained model, what its training left behind, and the CPU seconds of it."""
    torch.manual_seed(seed)
    model, start = rival.recipe(), time.process_time()
    history = rival.train(model, x, steps, rival.lr, seed, snapshots)
    seconds = time.process_time() - start
    if isinstance(model, Diffusion):  # its fit ends with the likelihood of a tenth of the rows, by a solver
        with torch.no_grad():
            seconds -= cpu_seconds(lambda: model.flow.log_prob(x[: len(x) // 10]), rounds=1)
    return model, history, seconds


def drawn(model: nn.Module, n: int) -> Tensor:
    """n samples, the same at each call, (n, 2)."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        return model.sample(n)


def moments(model: nn.Module, history: History) -> list[nn.Module]:
    """The model at each snapshot, one after the other, and at the end as it was left."""
    part = model.flow if isinstance(model, Diffusion) else model
    last = {name: value.clone() for name, value in part.state_dict().items()}
    for step in sorted(history.snapshots):
        part.load_state_dict(history.snapshots[step])
        yield model
    part.load_state_dict(last)


def shares_of(samples: Tensor, truth: Density = TRUTH) -> Tensor:
    return mode_shares(samples, truth.centres, DEVIATIONS * NOISE)


def misplaced(shares: Tensor) -> float:
    """The mass that lies in the wrong place: the total variation of the nine shares, (9,)."""
    modes = len(shares) - 1
    return 0.5 * float((shares[:-1] - 1.0 / modes).abs().sum() + shares[-1])


def of_modes(shares: Tensor) -> dict[str, float]:
    """What the rule of failure asks for, the least share and the mass astray, and what is misplaced in all, (9,)."""
    least = (len(shares) - 1) * float(shares[:-1].min())
    return {"least": least, "outside": float(shares[-1]), "misplaced": misplaced(shares)}


def exact_vae(vae: VAE, x: Tensor, side: int = CODES) -> Tensor:
    """log p(x) = log ∫ p(x | z) p(z) dz, summed over a grid of codes: (n, 2) -> (n,)."""
    line = torch.linspace(-5.0, 5.0, side)
    z = torch.cartesian_prod(line, line)
    prior = vae.prior.log_prob(z) + 2 * (line[1] - line[0]).log()
    said = vae.decoder(z).unsqueeze(1)  # (codes, 1, 2)
    chunks = [(vae.likelihood.log_prob(part, said) + prior[:, None]).logsumexp(0) for part in x.split(50)]
    return torch.cat(chunks)


def kernels(samples: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """log of the kernel density of the samples at x (n,), and its width, best on a tenth of the samples."""
    held, rest = samples[: len(samples) // 10], samples[len(samples) // 10 :]
    width = max(WIDTHS, key=lambda each: kernel_log_prob(held, rest, each).mean())
    return kernel_log_prob(x, samples, width), width


def log_density(model: nn.Module, x: Tensor, side: int = 101) -> Tensor | None:
    """log p(x) where the model has one: (n, 2) -> (n,); that of a VAE is summed over its codes."""
    if isinstance(model, VAE):
        return exact_vae(model, x, side)
    flow = model.flow if isinstance(model, Diffusion) else model
    return flow.log_prob(x) if isinstance(flow, Flow) else None


def judge(model: nn.Module, x: Tensor) -> Tensor:
    """What the model has for telling an outlier, higher for what it takes for data: a density, a bound, or a critic."""
    if isinstance(model, GAN):
        return model.critic(x)
    return model.bound(x, 50) if isinstance(model, VAE) else log_density(model, x)


def strays() -> Tensor:
    """2,000 points spread evenly over the window, farther than five deviations from every centre."""
    spread = WINDOW * (2 * torch.rand(6000, 2, generator=torch.Generator().manual_seed(3)) - 1)
    far = torch.cdist(spread.double(), TRUTH.centres).amin(1) > 5 * NOISE
    return spread[far][:TEST]


def by_samples(samples: Tensor, test: Tensor) -> dict[str, float]:
    some = samples[: len(test)]
    precision, recall = precision_recall(some, test)
    return {
        "neighbour": nearest_neighbour_test(some, test),
        "wasserstein": sliced_wasserstein(some, test),
        "precision": precision,
        "recall": recall,
    }


def above(log_q: Tensor, test: Tensor) -> float:
    """Nats above the floor of log q at the first n test points: (n,), (TEST, 2) -> a number."""
    return float((TRUTH.log_prob(test[: len(log_q)].double()) - log_q.double()).mean())


@torch.no_grad()
def in_nats(model: nn.Module, samples: Tensor, test: Tensor) -> dict[str, float]:
    """By all that gives q: nats above the floor, the mean of log p_true − log q."""
    found = {"kernels": above(kernels(samples, test)[0], test)}
    if isinstance(model, VAE):
        torch.manual_seed(0)
        some = test[:JUDGED]
        found |= {
            "elbo": above(torch.stack([model.bound(test) for _ in range(20)]).mean(0), test),
            "bound 50": above(model.bound(test, 50), test),
            "elbo of some": above(torch.stack([model.bound(some) for _ in range(200)]).mean(0), test),
            "bound 50 of some": above(model.bound(some, 50), test),
            "bound 1000 of some": above(model.bound(some, 1000), test),
            "ais of some": above(ais(model, some, steps=200, chains=8), test),
            "exact of some": above(exact_vae(model, some), test),
        }
    elif not isinstance(model, GAN):
        found["exact"] = above(log_density(model, test), test)
    return found


@torch.no_grad()
def map_of(values: Callable[[Tensor], Tensor]) -> Tensor:
    """Of a function of points on PIXELS x PIXELS of the window, row 0 at the bottom."""
    line = WINDOW * ((torch.arange(PIXELS) + 0.5) / PIXELS * 2 - 1)
    y, x = torch.meshgrid(line, line, indexing="ij")
    return values(torch.stack([x, y], -1).reshape(-1, 2)).reshape(PIXELS, PIXELS)


def as_levels(density: Tensor) -> Tensor:
    """255 p / (p + HALF) as bytes: what Heat would draw."""
    return (255.0 * density / (density + HALF) + 0.5).to(torch.uint8)


def measured(name: str, x: Tensor, test: Tensor, seed: int, tensors: dict[str, Tensor]) -> dict:
    """One run: what is written of it."""
    model, history, seconds = run(RIVALS[name], x, RIVALS[name].steps, seed, SNAPSHOTS)
    curve, states, maps = [], [], []
    for state in moments(model, history):
        samples = drawn(state, OF_CURVE)
        curve.append(round(misplaced(shares_of(samples)), 3))
        if seed == 0:
            states.append(samples[:STORED])
            if not isinstance(state, GAN):
                maps.append(as_levels(map_of(lambda at, state=state: log_density(state, at)).exp()))
    samples = drawn(model, SAMPLES)
    tensors.setdefault(f"seeds/{name}", torch.zeros(SEEDS, STORED, 2).half())[seed] = samples[:STORED].half()
    found = {"seconds": seconds} | of_modes(shares_of(samples)) | {"curve": curve}
    if history.critic:
        found["critic_loss"] = sum(history.critic[-100:]) / 100
    if seed < SCORED:
        with torch.no_grad():
            judged = [judge(model, points) for points in (strays(), test)]
        found |= by_samples(samples, test) | in_nats(model, samples, test)
        found["outliers"] = auroc(-judged[1], -judged[0])
    if seed == 0:
        tensors[f"training/{name}/samples"] = torch.stack(states).half()
        tensors[f"judge/{name}"] = map_of(lambda at: judge(model, at)).half()
        if maps:
            tensors[f"training/{name}/levels"] = torch.stack(maps)
        with torch.no_grad():
            found["sample_ms"] = 1e3 * cpu_seconds(lambda: model.sample(SAMPLES), 3)
            found["score_ms"] = 1e3 * cpu_seconds(lambda: judge(model, x), 3)
    return found


def rings(tensors: dict[str, Tensor]) -> dict[str, list[float]]:
    """Rings of 1 to 10 Gaussians: the share of the least mode, as a part of what it should have."""
    least: dict[str, list[float]] = {name: [] for name in FOUR}
    for modes in range(1, MOST_MODES + 1):
        truth = toy.ring_of_gaussians(modes, NOISE)
        x = truth.sample(ROWS, seed=1)
        for name in FOUR:
            samples = drawn(run(RIVALS[name], x, round(PART * RIVALS[name].steps), 0)[0], TEST)
            least[name].append(round(modes * float(shares_of(samples, truth)[:-1].min()), 3))
            kept = tensors.setdefault(f"modes/{name}", torch.zeros(MOST_MODES, STORED, 2).half())
            kept[modes - 1] = samples[:STORED].half()
        print(modes, {name: values[-1] for name, values in least.items()}, flush=True)
    return least


def rounded(values: list) -> list:
    return [value if isinstance(value, list) else round(value, 4) for value in values]


def exact_velocity(flow: Flow, t: Tensor, x: Tensor) -> Tensor:
    """E[dx_t/dt | x_t] on the diffusion path to the true ring, in the units in which the flow's field computes: the
    ring's Gaussians are Gaussians at each time, t (n, 1), x (n, 2) -> (n, 2)."""
    _, *units = flow.transform.layers()
    centres, edges = TRUTH.centres.to(x), TRUTH.centres.to(x) + NOISE
    for layer in reversed(units):
        centres, edges = layer.inverse(centres)[0], layer.inverse(edges)[0]
    sin, cos, deviations = (0.5 * math.pi * t).sin(), (0.5 * math.pi * t).cos(), (edges - centres)[0]
    variances = (sin * deviations).square() + cos.square()  # of x_t around each centre, (n, 2)
    apart = x.unsqueeze(1) - sin.unsqueeze(1) * centres  # (n, modes, 2)
    shares = (-0.5 * apart.square() / variances.unsqueeze(1)).sum(-1).softmax(-1)
    ends = centres + apart * (sin * deviations.square() / variances).unsqueeze(1)  # E[u | x_t, mode], (n, modes, 2)
    u = (shares.unsqueeze(-1) * ends).sum(1)
    return diffusion(t, (x - sin * u) / cos, u)[1]


def velocity_error(model: Diffusion, x: Tensor, low: float, high: float) -> dict[str, float]:
    """On the paths of the data at times from low to high: the mean squared error of the network's velocity, that of
    its divergence, which the density adds up, and the mean square of the velocity, what the answer 0 would cost."""
    layer, *units = model.flow.transform.layers()
    generator, u = torch.Generator().manual_seed(5), x
    for each in reversed(units):
        u = each.inverse(u)[0]
    t = low + (high - low) * torch.rand(len(u), 1, generator=generator)
    path, _ = diffusion(t, torch.randn(u.shape, generator=generator), u)
    with torch.enable_grad():
        path.requires_grad_()
        true = exact_velocity(model.flow, t, path)
        wrong = layer.field.velocity(t.squeeze(-1), path) - true
        slopes = [torch.autograd.grad(wrong[:, k].sum(), path, retain_graph=True)[0][:, k] for k in range(2)]
    found = {"error": wrong.square().sum(1), "of divergence": sum(slopes).square(), "square": true.square().sum(1)}
    return {key: float(value.mean()) for key, value in found.items()}


def of_equation(model: Diffusion, x: Tensor, test: Tensor, steps: int, seed: int) -> dict[str, float]:
    """Of a diffusion's equation: nats at training points, nats by four times as many steps, its own samples, the error
    of the velocity in three spans of time; and the nats of the same network that was matched along the same path, a
    loss with equal weights for all times."""
    layer, *_ = model.flow.transform.layers()
    found = {"exact of training": above(log_density(model, x[:TEST]), x)}
    found["neighbour of equation"] = nearest_neighbour_test(drawn(model.flow, TEST), test)
    layer.steps *= 4
    found["exact, finer"] = above(log_density(model, test), test)
    layer.steps //= 4
    for low, high in SPANS:
        error = velocity_error(model, x, low, high)
        found |= {f"{key} {low} to {high}": value for key, value in error.items()}
    with torch.enable_grad():
        torch.manual_seed(seed)
        matched, lr = RIVALS["diffusion"].recipe(), RIVALS["diffusion"].lr
        fit_matching(matched.flow, x, steps, BATCH, lr, path="diffusion", seed=seed)
    found["exact if matched"] = above(log_density(matched, test), test)
    return found


def after(name: str, x: Tensor, test: Tensor, steps: int, seed: int) -> dict[str, float]:
    """One run of so many steps: what `--longer` writes of it."""
    model, history, seconds = run(RIVALS[name], x, steps, seed)
    samples = drawn(model, SAMPLES)
    found = {"seconds": seconds} | of_modes(shares_of(samples)) | by_samples(samples, test)
    with torch.no_grad():
        if isinstance(model, VAE):
            found["exact of some"] = above(exact_vae(model, test[:JUDGED]), test)
        elif not isinstance(model, GAN):
            found["exact"] = above(log_density(model, test), test)
        if isinstance(model, Diffusion):
            found |= of_equation(model, x, test, steps, seed)
    return found | {"kept": history.best_step / steps}  # the moment of training whose weights the model has


def longer(x: Tensor, test: Tensor, times: float = TIMES, seeds: Iterable[int] = range(FEW)) -> dict:
    """All rivals with so many times the steps of the plain run."""
    steps = {name: round(times * rival.steps) for name, rival in RIVALS.items()}
    runs: dict[str, list[dict]] = {name: [] for name in RIVALS}
    for seed in seeds:
        for name in RIVALS:
            runs[name].append(after(name, x, test, steps[name], seed))
            print(seed, name, runs[name][-1], flush=True)
    rows = [
        {"model": name, "steps": steps[name]} | {key: rounded([each[key] for each in found]) for key in found[0]}
        for name, found in runs.items()
    ]
    return {"command": f"{COMMAND} --longer", "times": times, "before": before(x, test, seeds), "results": rows}


def before(x: Tensor, test: Tensor, seeds: Iterable[int]) -> dict[str, list[float]]:
    """What `of_equation` says of the diffusion with the steps of the plain run."""
    rival, runs = RIVALS["diffusion"], []
    for seed in seeds:
        model, *_ = run(rival, x, rival.steps, seed)
        with torch.no_grad():
            runs.append(of_equation(model, x, test, rival.steps, seed))
    return {key: rounded([each[key] for each in runs]) for key in runs[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--longer", action="store_true", help=f"{TIMES} times the steps, {FEW} seeds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    x, test, tensors = TRUTH.sample(ROWS, seed=1), TRUTH.sample(TEST, seed=2), {}
    run(RIVALS["flow"], x, 1, 0)  # what is imported at a first step counts for nobody
    if args.longer:
        write_parts(OUT, {"longer": longer(x, test)}, indent=1)
        return
    runs: dict[str, list[dict]] = {name: [] for name in RIVALS}
    for seed in range(SEEDS):
        for name in RIVALS:
            runs[name].append(measured(name, x, test, seed, tensors))
            print(seed, name, {k: v for k, v in runs[name][-1].items() if k != "curve"}, flush=True)
    rows = []
    for name, rival in RIVALS.items():
        keys = runs[name][0]
        row = {"model": name, "parameters": parameters(rival.recipe()), "steps": rival.steps, "lr": rival.lr}
        rows.append(row | {key: rounded([each[key] for each in runs[name] if key in each]) for key in keys})
    again = TRUTH.sample(SAMPLES, seed=4)
    log_kernels, width = kernels(again, test)
    truth = {key: round(value, 4) for key, value in by_samples(again, test).items()}
    truth["kernels"] = round(float((TRUTH.log_prob(test.double()) - log_kernels).mean()), 4)
    truth["misplaced"] = round(misplaced(shares_of(again)), 4)
    settings = {"command": COMMAND, "batch": BATCH, "rows": ROWS, "test": TEST, "judged": JUDGED}
    settings |= {"noise": NOISE, "half": HALF, "window": WINDOW, "width": width, "entropy": round(TRUTH.entropy, 4)}
    least = rings(tensors)
    WEIGHTS.parent.mkdir(exist_ok=True)
    safetensors.torch.save_file({key: value.contiguous() for key, value in tensors.items()}, WEIGHTS)
    write_parts(OUT, {**settings, "truth": truth, "rings": least, "results": rows}, indent=1)


if __name__ == "__main__":
    main()
