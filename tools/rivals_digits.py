"""Five models of the 8 × 8 digits with equal numbers of parameters and equal seconds, for notebook 12b.

    python -m tools.rivals_digits                          in about ten minutes on one core
    python -m tools.rivals_digits --longer                 in about seven: four times the steps, three seeds
    python -m tools.rivals_digits --data mnist --quick     MNIST, scaled down to 8 × 8: a few steps, nothing is written

A flow, a VAE, two GANs (the game of 2014, and Wasserstein's with a gradient penalty) and a diffusion model, with five
seeds each. Encoder and critic count as parameters. The steps of each are such that all take about the same CPU seconds.
All but the VAE, which is of whole numbers, learn points: pixels that were dequantized and sent through a logit.

For each seed: bits a pixel of the test digits, where there are any (flow and diffusion: one draw of the noise of
dequantization; VAE: ELBO, bound of 500 draws, annealed importance sampling; GAN: a kernel density of 10,000 samples);
four scores of as many samples as there are test digits, after they became whole numbers; and CPU seconds. `references`
are what fresh training digits and a Gaussian with their mean and covariance would get. `flow_gan`: one flow, trained by
Wasserstein's game with a weight of the likelihood beside it. `bias`: Fréchet distances by the number of samples.

Written are notebooks/data/rivals_digits.json and the classifier whose features the Fréchet distance compares,
flowlib/models/trained/digit_classifier.safetensors. `--longer` keeps the models and the lengths of the first step,
stretches each schedule over its steps, and writes one more part of the JSON, `longer`: the plain run leaves it. In it
are the bits of the last weights too (`bits_last`; flow, VAE and diffusion keep those that were best on held-out digits)
and `to_training`: the mean distance of samples to the nearest training digit over that of test digits; copies have 0.
"""

import argparse
import base64
import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy

from flowlib.core import Flow, bits
from flowlib.datasets import images
from flowlib.models import GAN, VAE, Diffusion, digit_classifier, real_nvp
from flowlib.models.checkpoint import FOLDER
from flowlib.pixels import PixelFlow
from flowlib.pixels.pixel_flow import PixelLogit
from flowlib.training import (
    History,
    ais,
    fit,
    fit_diffusion,
    fit_gan,
    fit_vae,
    frechet,
    kernel_log_prob,
    nearest_neighbour_test,
    precision_recall,
    sliced_wasserstein,
)
from tools.families import OUT as FAMILIES_OUT
from tools.parts import write_parts

OUT, WEIGHTS = FAMILIES_OUT.with_name("rivals_digits.json"), FOLDER / "digit_classifier.safetensors"
COMMAND = "python -m tools.rivals_digits"
DIM, LEVELS, SEEDS, SNAPSHOTS, SHOWN = 64, 17, 5, 9, 16
TIMES, FEW = 4, 3  # so many times the steps, so many seeds: --longer
WEIGHTS_OF_LIKELIHOOD = [0.0, 0.001, 0.01, 0.1, 1.0]  # beside Wasserstein's game
SIZES, REPEATS = [40, 80, 160, 320, 640, 1280, 2560], 20
LOGIT = PixelLogit(DIM)


@dataclass
class Data:
    """Pixels as rows of whole numbers 0 to 16, and the classes of the training part."""

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    labels: Tensor


def data_of(name: str) -> Data:
    """The digits, or MNIST in squares of 3 × 3 of its middle 24 × 24 pixels: 10,000 + 1,000 + 360."""
    found = getattr(images, name)()
    parts = [getattr(found, part).images for part in ("train", "validation", "test")]
    if name == "mnist":
        parts = [avg_pool2d(x[:n, :, 2:26, 2:26].float(), 3).mul(16 / 255).round()
                 for x, n in zip(parts, (10_000, 1000, 360), strict=True)]  # fmt: skip
    train, validation, test = (x.flatten(1).byte() for x in parts)
    return Data(name, train, validation, test, found.train.labels[: len(train)])


def points(x: Tensor, seed: int) -> Tensor:
    """Pixels as points on the line, the noise of dequantization drawn by seed: (n, 64) -> (n, 64)."""
    u = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
    return LOGIT.inverse((x + u) / LEVELS)[0]


def pixels(s: Tensor) -> Tensor:
    """Points on the line as the whole numbers in whose cells they lie."""
    return (LOGIT.generate(s) * LEVELS).floor().clamp(0, LEVELS - 1)


def copies(x: Tensor) -> Tensor:
    """The points of all pixels with eight draws of noise each, (8 n, 64)."""
    return torch.cat([points(x, seed) for seed in range(1, 9)])


# ---- the five models: built, trained, sampled, scored ------------------------------------------------------


def a_flow() -> Flow:
    return real_nvp(DIM, layers=8, hidden=[46, 46])


def fit_flow(flow: Flow, data: Data, steps: int, seed: int) -> History:
    return fit(
        flow, copies(data.train), steps, 128, 1e-3, held_out=copies(data.validation), snapshots=SNAPSHOTS, seed=seed
    )


def play(gan: GAN, data: Data, steps: int, seed: int, game: str, lr: float, likelihood: float = 0.0) -> History:
    return fit_gan(
        gan, copies(data.train), steps, 128, lr, game=game, likelihood=likelihood, snapshots=SNAPSHOTS, seed=seed
    )


@torch.no_grad()
def flow_bits(flow: Flow, data: Data) -> dict[str, float]:
    """By one draw of the noise of dequantization for each digit, the same for all models."""
    torch.manual_seed(0)
    return {"bits": PixelFlow(flow, LEVELS).bits_per_dim(data.test).mean().item()}


def vae_bits(vae: VAE, data: Data) -> dict[str, float]:
    torch.manual_seed(0)
    with torch.no_grad():
        nats = {
            "bits_elbo": torch.stack([vae.bound(data.test) for _ in range(20)]).mean(0),
            "bits": vae.bound(data.test, 500),
        }
    nats["bits_ais"] = ais(vae, data.test, steps=100, chains=4, leaps=4)
    return {name: bits(value, DIM).mean().item() for name, value in nats.items()}


def kernel_bits(gan: GAN, data: Data) -> dict[str, float]:
    """A kernel density of samples in units of grey levels; its width is the best of nine on the validation digits."""
    torch.manual_seed(0)
    centres = pixels(gan.sample(10_000))
    widths = [0.5 * 1.25**k for k in range(9)]
    best = max(widths, key=lambda width: kernel_log_prob(spread(data.validation), centres, width).mean().item())
    return {"bits_kernel": bits(kernel_log_prob(spread(data.test), centres, best), DIM).mean().item()}


def spread(x: Tensor) -> Tensor:
    """Pixels with uniform noise around each whole number, so that a density in these units is a bound of P(x)."""
    return x + torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) - 0.5


@dataclass
class Rival:
    """How one model is made, trained for a number of steps, sampled as pixels, and scored in bits."""

    name: str
    build: Callable[[], nn.Module]
    train: Callable[[nn.Module, Data, int, int], History]
    steps: int
    sample: Callable[[nn.Module, int], Tensor]
    bits: Callable[[nn.Module, Data], dict[str, float]]
    kept: Callable[[nn.Module], nn.Module] = lambda model: model  # whose states the history holds


RIVALS = [
    Rival("flow", a_flow, fit_flow, 2200, lambda m, n: pixels(m.sample(n)), flow_bits),
    Rival(
        "VAE", lambda: VAE(DIM, LEVELS, dim=8, hidden=(128, 128)),
        lambda m, data, steps, seed: fit_vae(m, data.train, steps, snapshots=SNAPSHOTS, seed=seed),
        5000, lambda m, n: m.sample(n), vae_bits,
    ),
    Rival(
        "GAN", lambda: GAN(DIM, hidden=(132, 132), latent=16),
        lambda m, data, steps, seed: play(m, data, steps, seed, "non-saturating", 5e-4),
        3150, lambda m, n: pixels(m.sample(n)), kernel_bits,
    ),
    Rival(
        "Wasserstein GAN", lambda: GAN(DIM, hidden=(132, 132), latent=16),
        lambda m, data, steps, seed: play(m, data, steps, seed, "wasserstein", 2e-3),
        670, lambda m, n: pixels(m.sample(n)), kernel_bits,
    ),
    Rival(
        "diffusion", lambda: Diffusion(DIM, hidden=[175, 175], steps=16),
        lambda m, data, steps, seed: fit_diffusion(
            m, copies(data.train), steps, 256, 3e-3, held_out=copies(data.validation), snapshots=SNAPSHOTS, seed=seed
        ),
        2300, lambda m, n: pixels(m.sample(n)), lambda m, data: flow_bits(m.flow, data), lambda m: m.flow,
    ),
]  # fmt: skip


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


# ---- scores of samples -------------------------------------------------------------------------------------


def scores(samples: Tensor, data: Data, features: nn.Module) -> dict[str, float]:
    """As many samples as test digits, both as whole numbers (n, 64)."""
    x, test = samples.float(), data.test.float()
    found = {"neighbour": nearest_neighbour_test(x, test), "wasserstein": sliced_wasserstein(x, test)}
    found |= precision_recall(x, test)._asdict()
    with torch.no_grad():
        return {**found, "frechet": frechet(features(x / 16), features(test / 16))}


def sheet(samples: Tensor) -> str:
    """The first of the samples as bytes, in base 64."""
    return base64.b64encode(samples[:SHOWN].byte().numpy().tobytes()).decode()


def drawn(rival: Rival, model: nn.Module, data: Data) -> str:
    """A sheet of samples by the seed of all sheets."""
    torch.manual_seed(0)
    return sheet(rival.sample(model, len(data.test)))


def timed(work: Callable[[], object]) -> tuple[object, float]:
    """What it gives, and its CPU seconds."""
    start = time.process_time()
    return work(), time.process_time() - start


def one_run(rival: Rival, data: Data, steps: int, seed: int, features: nn.Module) -> tuple[dict, nn.Module, History]:
    """Its scores and its seconds, the model, and what its training left behind."""
    torch.manual_seed(seed)
    model = rival.build()
    history, training_s = timed(lambda: rival.train(model, data, steps, seed))
    model.eval()
    torch.manual_seed(seed)
    samples, sampling_s = timed(lambda: rival.sample(model, len(data.test)))
    of_bits, scoring_s = timed(lambda: rival.bits(model, data))
    row = {**of_bits, **scores(samples, data, features)}
    row |= {"training_s": training_s, "sampling_s": sampling_s, "scoring_s": scoring_s}
    print(rival.name, seed, {key: round(value, 3) for key, value in row.items()}, flush=True)
    return row, model, history


def gathered(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """One list over seeds for each number, with four figures."""
    return {key: [float(f"{row[key]:.4g}") for row in rows] for key in rows[0]}


def scrubbed(rival: Rival, model: nn.Module, history: History, data: Data, features: nn.Module) -> list[dict]:
    """Samples of each snapshot, from equal noise, and their scores."""
    moments = []
    for step in sorted(history.snapshots):
        rival.kept(model).load_state_dict(history.snapshots[step])
        torch.manual_seed(0)
        samples = rival.sample(model.eval(), len(data.test))
        found = scores(samples, data, features)
        moments.append({"step": step, "sheet": sheet(samples), **{k: round(v, 3) for k, v in found.items()}})
    return moments


def nearness(samples: Tensor, data: Data) -> float:
    """The mean distance of samples to the nearest training digit, as a part of that of test digits."""
    of_samples, of_test = (torch.cdist(x.float(), data.train.float()).amin(1).mean() for x in (samples, data.test))
    return (of_samples / of_test).item()


def longer(data: Data, features: nn.Module, times: float = TIMES, seeds: Iterable[int] = range(FEW)) -> dict:
    """All rivals with so many times the steps of the plain run."""
    runs: dict[str, list[dict]] = {rival.name: [] for rival in RIVALS}
    for seed in seeds:
        for rival in RIVALS:
            row, model, history = one_run(rival, data, round(times * rival.steps), seed, features)
            torch.manual_seed(0)
            row["to_training"] = nearness(rival.sample(model, len(data.test)), data)
            row["kept"] = history.best_step / len(history.losses)  # the moment of training whose weights it has
            if "bits" in row:
                rival.kept(model).load_state_dict(history.snapshots[len(history.losses)])
                row["bits_last"] = rival.bits(model.eval(), data)["bits"]
            runs[rival.name].append(row)
            print({key: round(row[key], 3) for key in ("to_training", "kept", "bits_last") if key in row}, flush=True)
    rows = [{"model": each.name, "steps": round(times * each.steps), **gathered(runs[each.name])} for each in RIVALS]
    return {"command": f"{COMMAND} --longer", "times": times, "rows": rows}


# ---- the parts of the page ---------------------------------------------------------------------------------


def classifier(data: Data) -> nn.Sequential:
    """Features and head, trained on the training digits with noise on them."""
    torch.manual_seed(0)
    net, x = digit_classifier(trained=False), data.train.float() / 16
    optimizer = torch.optim.Adam(net.parameters(), 3e-3, weight_decay=1e-5)
    for _ in range(1500):
        rows = torch.randint(len(x), (128,))
        loss = cross_entropy(net(x[rows] + 0.1 * torch.randn(128, DIM)), data.labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()


def references(data: Data, features: nn.Module) -> dict[str, dict[str, list[float]]]:
    """What the best and a simple model would get: training digits, and a Gaussian with their mean and covariance."""
    x, n, rows = data.train.float(), len(data.test), {"training digits": [], "Gaussian": []}
    law = torch.distributions.MultivariateNormal(x.mean(0), torch.cov(x.T) + 1e-3 * torch.eye(DIM))
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        rows["training digits"].append(scores(x[torch.randperm(len(x))[:n]], data, features))
        rows["Gaussian"].append(scores(law.sample((n,)).round().clamp(0, 16), data, features))
    return {name: gathered(each) for name, each in rows.items()}


def flow_gan(data: Data, share: float, seeds: int, features: nn.Module) -> list[dict]:
    """One flow by Wasserstein's game with several weights of the likelihood beside it."""
    found = []
    for weight in WEIGHTS_OF_LIKELIHOOD:
        rival = Rival(
            "Flow-GAN", lambda: GAN(DIM, hidden=(132, 132), generator=a_flow()),
            lambda m, data, steps, seed, weight=weight: play(m, data, steps, seed, "wasserstein", 3e-3, weight),
            250, lambda m, n: pixels(m.sample(n)), lambda m, data: flow_bits(m.generator, data),
        )  # fmt: skip
        print("weight", weight, flush=True)
        runs = [one_run(rival, data, max(2, int(share * rival.steps)), seed, features) for seed in range(seeds)]
        found.append(
            {"weight": weight, **gathered([row for row, _, _ in runs]), "sheet": drawn(rival, runs[0][1], data)}
        )
    return found


def bias(models: dict[str, nn.Module], data: Data, features: nn.Module) -> dict[str, list]:
    """Mean Fréchet distance to the test digits by the number of samples; `digits`: two parts of the training digits."""
    torch.manual_seed(0)
    with torch.no_grad():
        test, real = (features(x.float() / 16) for x in (data.test, data.train))
        found: dict[str, list] = {"sizes": SIZES, "digits": []}
        for rival in RIVALS:
            made = features(rival.sample(models[rival.name], 2 * SIZES[-1]) / 16)
            draws = [[made[torch.randperm(len(made))[:n]] for _ in range(REPEATS)] for n in SIZES]
            found[rival.name] = [round(sum(frechet(x, test) for x in each) / REPEATS, 3) for each in draws]
        for n in (size for size in SIZES if 2 * size <= len(real)):
            orders = [torch.randperm(len(real)) for _ in range(REPEATS)]
            each = [frechet(real[order[:n]], real[order[-n:]]) for order in orders]
            found["digits"].append(round(sum(each) / REPEATS, 3))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=["digits", "mnist"], default="digits")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the steps, one seed, nothing written")
    parser.add_argument("--longer", action="store_true", help=f"{TIMES} times the steps, {FEW} seeds")
    args = parser.parse_args()
    torch.set_num_threads(1)
    share, seeds, data = (0.02, 1, data_of(args.data)) if args.quick else (1.0, SEEDS, data_of(args.data))
    net = classifier(data)
    features, _ = net
    if args.longer:
        found = longer(data, features, share * TIMES, range(min(seeds, FEW)))
        if not args.quick and args.data == "digits":
            write_parts(OUT, {"longer": found})
        return
    labels = getattr(images, args.data)().test.labels[: len(data.test)]
    right = (net(data.test.float() / 16).argmax(-1) == labels).double().mean().item()
    found = {"command": COMMAND, "data": args.data, "pictures": len(data.test), "classifier_right": round(right, 4)}
    runs: dict[str, list] = {rival.name: [] for rival in RIVALS}
    for seed in range(seeds):
        for rival in RIVALS:  # they take turns: a machine that is busy for a while burdens all alike
            runs[rival.name].append(one_run(rival, data, max(2, int(share * rival.steps)), seed, features))
    rows, scrub, models = [], {}, {}
    for rival in RIVALS:
        _, models[rival.name], history = runs[rival.name][0]
        head = {"model": rival.name, "parameters": count(models[rival.name]), "steps": rival.steps}
        rows.append({**head, **gathered([row for row, _, _ in runs[rival.name]])})
        scrub[rival.name] = scrubbed(rival, copy.deepcopy(models[rival.name]), history, data, features)
    found |= {"rows": rows, "references": references(data, features), "bias": bias(models, data, features)}
    found |= {"flow_gan": flow_gan(data, share, seeds, features), "scrub": scrub}
    found["flow_gan"].append({"weight": None, **rows[0], "sheet": drawn(RIVALS[0], models["flow"], data)})
    if not args.quick and args.data == "digits":
        safetensors.torch.save_file(net.state_dict(), WEIGHTS)
        write_parts(OUT, found)


if __name__ == "__main__":
    main()
