"""Every family of the course on the same two targets, and a few of them on real tables, for notebook 06.

    python -m tools.families          writes notebooks/data/families.json, in about ten minutes on one core

Each family is fitted with the same number of steps, the same batch and the same few seeds, which choose its start and
its batches. `gaps` are the means of log p(x) − log q(x) over fresh points x of the target p, one for each seed: the
nats above the floor, estimates of KL(p ‖ q). On a table, `above` is the mean of log q(x) − log N(x) over its test rows,
N being the Gaussian of the training rows, and `error` the standard error of that mean. Times are CPU times
of one thread, for the first seed. The tables are taken if FLOWLIB_DATA names a folder that holds them.
"""

import argparse
import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from flowlib import Flow, models
from flowlib.bases import StandardNormal
from flowlib.datasets import Density, Table, tables, toy
from flowlib.training import fit
from flowlib.transforms import Linear

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "families.json"
COMMAND = "python -m tools.families"
TARGETS = ("two_moons", "eight_gaussians")
SEEDS, STEPS, BATCH, POINTS = 4, 1000, 256, 10_000


def shaken(flow: Flow) -> Flow:
    """The flow with random weights everywhere. The recipes start at the identity, their last layers at zero; where the
    target is its own mirror image in both axes, every gradient of additive couplings is zero there."""
    for module in flow.modules():
        if isinstance(module, nn.Linear):
            module.reset_parameters()
    return flow


FAMILIES: dict[str, tuple[Callable[[], Flow], float]] = {  # name -> recipe, first step of Adam
    "planar": (lambda: models.planar_flow(layers=16, fast="density"), 0.02),
    "radial": (lambda: models.radial_flow(layers=16, fast="density"), 0.02),
    "Sylvester": (lambda: models.sylvester_flow(layers=16, fast="density"), 0.02),
    "NICE": (models.nice, 5e-3),
    "NICE, shaken": (lambda: shaken(models.nice()), 5e-3),
    "RealNVP": (models.real_nvp, 5e-3),
    "spline coupling": (models.spline_flow, 5e-3),
    "MAF": (models.maf, 5e-3),
    "IAF": (models.iaf, 5e-3),
    "spline MAF": (models.spline_maf, 5e-3),
    "transformer": (lambda: models.transformer_flow(layers=5, width=16, heads=2, depth=1), 5e-3),
}
ON_TABLES: dict[str, Callable[[int], Flow]] = {
    "RealNVP": lambda dim: models.real_nvp(dim, hidden=[128, 128]),
    "MAF": lambda dim: models.maf(dim, hidden=[128, 128]),
    "spline MAF": lambda dim: models.spline_maf(dim, hidden=[128, 128], bins=8),
}
TABLES: dict[str, tuple[Callable[[], Table], tuple[str, ...]]] = {
    "protein": (tables.protein, ("RealNVP", "MAF", "spline MAF")),
    "patches": (tables.patches, ("RealNVP", "MAF")),  # 63 splines of 8 bins a row would take too long for a page
}


def cpu_seconds(call: Callable[[], object], rounds: int = 7) -> float:
    """The least CPU time of a call: what disturbs it only adds."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return min(times)


def round_trip(flow: Flow, x: Tensor) -> float:
    """The largest |f(f⁻¹(x)) − x|."""
    return (flow.transform(flow.transform.inverse(x)[0])[0] - x).abs().max().item()


def parameters(flow: Flow) -> int:
    return sum(parameter.numel() for parameter in flow.parameters())


def on_toy(family: str, target: str) -> dict:
    """One row: a family fitted to a toy density, once for each seed."""
    data = toy.get(target)
    x = data.sample(POINTS, seed=12345)
    fits = [fitted(family, data, seed) for seed in range(SEEDS)]
    flow, seconds = fits[0]
    with torch.no_grad():
        return {
            "family": family,
            "target": target,
            "parameters": parameters(flow),
            "gaps": [round((data.log_prob(x) - one.log_prob(x)).mean().item(), 4) for one, _ in fits],
            "training_s": round(seconds, 2),
            "sample_ms": round(1e3 * cpu_seconds(lambda: flow.sample(POINTS)), 2),
            "log_prob_ms": round(1e3 * cpu_seconds(lambda: flow.log_prob(x)), 2),
            "round_trip": float(f"{round_trip(flow, x):.1e}"),
            "round_trip_double": float(f"{round_trip(copy.deepcopy(flow).double(), x.double()):.1e}"),
        }


def fitted(family: str, data: Density, seed: int) -> tuple[Flow, float]:
    """A trained flow, and the seconds that it took."""
    recipe, lr = FAMILIES[family]
    torch.manual_seed(seed)
    flow = recipe()
    start = time.process_time()
    fit(flow, data, steps=STEPS, batch=BATCH, lr=lr, seed=seed)
    return flow, time.process_time() - start


def gaussian(rows: Tensor) -> Flow:
    """The Gaussian with the mean and the covariance of the rows, as a flow."""
    factor = torch.linalg.cholesky(rows.T.cov(correction=0))
    return Flow(Linear(rows.shape[1], matrix=factor, bias=rows.mean(0)), StandardNormal(rows.shape[1]))


def on_table(family: str, table: Table) -> dict:
    """One row: a family fitted to a table, in nats above the Gaussian of the same rows."""
    torch.manual_seed(0)
    flow = ON_TABLES[family](table.dim)
    start = time.process_time()
    fit(flow, table.train, steps=STEPS, batch=BATCH, held_out=0.02)
    seconds = time.process_time() - start
    with torch.no_grad():
        ours, theirs = (
            torch.cat([model.log_prob(rows) for rows in table.test.split(POINTS)])
            for model in (flow, gaussian(table.train))
        )
    above = ours - theirs
    return {
        "family": family,
        "table": table.name,
        "dim": table.dim,
        "parameters": parameters(flow),
        "nats": round(ours.mean().item(), 3),
        "above": round(above.mean().item(), 3),
        "error": round((above.std() / len(above) ** 0.5).item(), 3),
        "training_s": round(seconds, 2),
    }


def on_tables() -> Iterator[dict]:
    """The rows of those real tables that are on this machine."""
    for name, (load, families) in TABLES.items():
        try:
            table = load()
        except FileNotFoundError as error:
            print(f"{name} is left out: {error}")
            continue
        for family in families:
            yield on_table(family, table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for target in TARGETS:
        for family in FAMILIES:
            rows.append(on_toy(family, target))
            print(rows[-1], flush=True)
    real = []
    for row in on_tables():
        real.append(row)
        print(row, flush=True)
    settings = {"seeds": SEEDS, "steps": STEPS, "batch": BATCH, "points": POINTS}
    found = {"command": COMMAND, **settings, "toy": rows, "tables": real}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
