"""Every family of the course on the same two targets, and a few of them on real tables, for notebook 06.

    python -m tools.families          writes notebooks/data/families.json, in about four minutes on one core

Each family is fitted with the same number of steps, the same batch and the same seed. `gap` is the mean of
log p(x) − log q(x) over fresh points x of the target p: the nats above the floor, an estimate of KL(p ‖ q). Times are
CPU times of one thread. The tables are taken if FLOWLIB_DATA names a folder that holds them.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from flowlib import Flow, models
from flowlib.datasets import Table, tables, toy
from flowlib.training.fit import fit

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "families.json"
COMMAND = "python -m tools.families"
TARGETS = ("two_moons", "eight_gaussians")
STEPS, BATCH, POINTS = 1000, 256, 10_000

FAMILIES: dict[str, tuple[Callable[[], Flow], float]] = {  # name -> recipe, first step of Adam
    "planar": (lambda: models.planar_flow(layers=16, fast="density"), 0.02),
    "radial": (lambda: models.radial_flow(layers=16, fast="density"), 0.02),
    "Sylvester": (lambda: models.sylvester_flow(layers=16, fast="density"), 0.02),
    "NICE": (models.nice, 5e-3),
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
    """The largest |f(f⁻¹(x)) − x| in float32."""
    return (flow.transform(flow.transform.inverse(x)[0])[0] - x).abs().max().item()


def parameters(flow: Flow) -> int:
    return sum(parameter.numel() for parameter in flow.parameters())


def on_toy(family: str, target: str) -> dict:
    """One row: a family fitted to a toy density."""
    recipe, lr = FAMILIES[family]
    torch.manual_seed(0)
    flow, data = recipe(), toy.get(target)
    start = time.process_time()
    fit(flow, data, steps=STEPS, batch=BATCH, lr=lr)
    seconds = time.process_time() - start
    x = data.sample(POINTS, seed=12345)
    with torch.no_grad():
        return {
            "family": family,
            "target": target,
            "parameters": parameters(flow),
            "gap": round((data.log_prob(x) - flow.log_prob(x)).mean().item(), 4),
            "training_s": round(seconds, 2),
            "sample_ms": round(1e3 * cpu_seconds(lambda: flow.sample(POINTS)), 2),
            "log_prob_ms": round(1e3 * cpu_seconds(lambda: flow.log_prob(x)), 2),
            "round_trip": float(f"{round_trip(flow, x):.1e}"),
        }


def on_table(family: str, table: Table) -> dict:
    """One row: a family fitted to a table, in nats above the Gaussian baseline."""
    torch.manual_seed(0)
    flow = ON_TABLES[family](table.dim)
    start = time.process_time()
    fit(flow, table.train, steps=STEPS, batch=BATCH, held_out=0.02)
    seconds = time.process_time() - start
    with torch.no_grad():
        score = torch.cat([flow.log_prob(rows) for rows in table.test.split(POINTS)]).mean().item()
    return {
        "family": family,
        "table": table.name,
        "dim": table.dim,
        "parameters": parameters(flow),
        "gaussian": round(table.baseline, 3),
        "nats": round(score, 3),
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
    found = {"command": COMMAND, "steps": STEPS, "batch": BATCH, "points": POINTS, "toy": rows, "tables": real}
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
