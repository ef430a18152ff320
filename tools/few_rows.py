"""Where Gaussianization wins: real tables of which only few rows are known, for notebook 10.

    python -m tools.few_rows          writes notebooks/data/few_rows.json, in about forty minutes on one core

From the protein table (10 columns) and from 8 × 8 patches of photographs (63) each seed draws n training rows; a tenth
of them is held out for choosing weights or layers. Shown are the mean log-density of 4,000 test rows in nats, and the
CPU seconds of one thread. The full Gaussian is fitted by `Whitening`, its covariance shrunk by cross-validation.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from flowlib import Flow, models
from flowlib.bases import StandardNormal
from flowlib.core import Compose
from flowlib.datasets import tables
from flowlib.training import fit, fit_greedy
from flowlib.transforms import Units, Whitening

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "few_rows.json"
COMMAND = "python -m tools.few_rows"
TABLES = {"protein": tables.protein, "patches": tables.patches}
ROWS, SEEDS, TEST = (100, 1_000, 10_000), 3, 4_000
STEPS, BATCH, PATIENCE = 1000, 256, 8


def gaussian(dim: int) -> Flow:
    return Flow(Compose([Whitening(dim), Units(dim)]), StandardNormal(dim))


def trained(flow: Flow, x: Tensor, seed: int) -> None:
    fit(flow, x, steps=STEPS, batch=BATCH, lr=2e-3, patience=PATIENCE, seed=seed)


def greedy(flow: Flow, x: Tensor, seed: int) -> None:
    fit_greedy(flow, x, seed=seed)


FAMILIES: dict[str, tuple[Callable[[int], Flow], Callable[[Flow, Tensor, int], None]]] = {
    "full Gaussian": (gaussian, greedy),
    "density ascent": (lambda dim: models.density_ascent(dim, layers=300), greedy),
    "Gaussianization": (lambda dim: models.gaussianization(dim, layers=60, directions="sliced"), greedy),
    "MAF": (lambda dim: models.maf(dim), trained),
    "spline flow": (lambda dim: models.spline_flow(dim, bins=8), trained),
}


def row(family: str, table: tables.Table, n: int) -> dict:
    """One row of the results: test nats of each seed, and the seconds of the first."""
    recipe, how = FAMILIES[family]
    nats, seconds = [], []
    for seed in range(SEEDS):
        chosen = torch.randperm(len(table.train), generator=torch.Generator().manual_seed(seed))[:n]
        torch.manual_seed(seed)
        flow, start = recipe(table.dim), time.process_time()
        how(flow, table.train[chosen], seed)
        seconds.append(time.process_time() - start)
        with torch.no_grad():
            nats.append(round(flow.log_prob(table.test[:TEST]).mean().item(), 3))
    return {"table": table.name, "n": n, "family": family, "nats": nats, "seconds": round(min(seconds), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for table in (load() for load in TABLES.values()):
        for n in ROWS:
            for family in FAMILIES:
                rows.append(row(family, table, n))
                print(rows[-1], flush=True)
    found = {"command": COMMAND, "seeds": SEEDS, "steps": STEPS, "test": TEST, "rows": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
