"""Every family of the course on two moons at noise 0.05, for notebook 10.

    python -m tools.small_steps [FAMILY ...]   writes notebooks/data/small_steps.json, in twenty minutes on one core

`gaps` are the means of log p(x) − log q(x) over 10,000 fresh points of the target, whose entropy is 0.287 nats: the
nats above the floor, one for each seed. Seconds are CPU times of one thread, those of training for the first seed;
`sample` and `log_prob` are for 10,000 points. What is trained by steps takes 1,000 of them with 256 fresh points each
(2,000 for the residual flow, 4,000 of 512 for flow matching); what is fitted layer by layer sees 20,000 points.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch

from flowlib import Flow, models
from flowlib.datasets import Density, toy
from flowlib.training import fit, fit_greedy, fit_matching
from tools.families import FAMILIES, cpu_seconds, parameters

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "small_steps.json"
COMMAND = "python -m tools.small_steps"
SEEDS, STEPS, BATCH, POINTS, ROWS = 2, 1000, 256, 10_000, 20_000
DATA = toy.two_moons(0.05)
Fit = Callable[[Flow, Density, int], None]


def by_steps(lr: float, steps: int = STEPS) -> Fit:
    return lambda flow, data, seed: fit(flow, data, steps=steps, batch=BATCH, lr=lr, seed=seed)


def greedy(flow: Flow, data: Density, seed: int) -> None:
    fit_greedy(flow, data.sample(ROWS, seed=seed), patience=40, seed=seed)


def then_together(flow: Flow, data: Density, seed: int) -> None:
    """Layer by layer, and then all layers together."""
    greedy(flow, data, seed)
    fit(flow, data, steps=400, batch=BATCH, lr=5e-3, seed=seed)


def matching(**how: str | bool) -> Fit:
    return lambda flow, data, seed: fit_matching(flow, data, steps=4000, batch=512, seed=seed, **how)


ROWS_OF: dict[str, tuple[Callable[[], Flow], Fit]] = {  # name -> recipe, training
    **{name: (recipe, by_steps(lr)) for name, (recipe, lr) in FAMILIES.items() if name != "NICE, shaken"},
    "residual": (models.residual_flow, by_steps(5e-3, steps=2000)),
    "density ascent": (lambda: models.density_ascent(layers=600), greedy),
    "Gaussianization": (models.gaussianization, greedy),
    "Gaussianization, then trained": (lambda: models.gaussianization(layers=16), then_together),
    "neural ODE": (lambda: models.ffjord(steps=8), by_steps(2e-2)),
    "flow matching": (models.flow_matching, matching()),
    "flow matching, transport": (models.flow_matching, matching(transport=True)),
    "flow matching, diffusion path": (models.flow_matching, matching(path="diffusion")),
}


def row(family: str) -> dict:
    recipe, train = ROWS_OF[family]
    x, gaps, seconds = DATA.sample(POINTS, seed=12345), [], []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        flow, start = recipe(), time.process_time()
        train(flow, DATA, seed)
        seconds.append(time.process_time() - start)
        with torch.no_grad():
            gaps.append(round((DATA.log_prob(x) - flow.log_prob(x)).mean().item(), 4))
    with torch.no_grad():
        return {
            "family": family,
            "parameters": parameters(flow),
            "gaps": gaps,
            "training_s": round(seconds[0], 1),
            "sample_ms": round(1e3 * cpu_seconds(lambda: flow.sample(POINTS), 3), 1),
            "log_prob_ms": round(1e3 * cpu_seconds(lambda: flow.log_prob(x), 3), 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="measure only these again")
    wanted = parser.parse_args().families or list(ROWS_OF)
    torch.set_num_threads(1)
    rows = {each["family"]: each for each in json.loads(OUT.read_text())["rows"]} if OUT.exists() else {}
    for family in wanted:
        rows[family] = row(family)
        print(rows[family], flush=True)
    found = {"command": COMMAND, "seeds": SEEDS, "steps": STEPS, "batch": BATCH, "points": POINTS}
    found["rows"] = [rows[family] for family in ROWS_OF if family in rows]
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
