"""How good the posteriors of notebook 11c are, by runs of the simulator.

    python -m tools.posteriors          in about ten minutes on one core

Two moons: `c2st` against 10,000 exact samples of the posterior for each of five observations, `coverage` of the
densest regions of 50, 80 and 95 % over 2,000 fresh pairs, for one flow and for an ensemble of three; and the share of
samples outside of the prior's box for a flow that does not know the box. Pendulum: coverage. Written are
notebooks/data/posteriors.json and the weights of the ensembles that were trained on 10,000 runs
and more, flowlib/models/trained/posteriors.safetensors.
"""

import argparse
import json
import time

import safetensors.torch
import torch

from flowlib import Flow
from flowlib.datasets import Pendulum, Simulator, TwoMoons
from flowlib.models import Ensemble, posterior_flow, spline_flow
from flowlib.models.checkpoint import FOLDER
from flowlib.training import c2st, coverage, fit
from tools.families import OUT as FAMILIES_OUT

OUT, WEIGHTS = FAMILIES_OUT.with_name("posteriors.json"), FOLDER / "posteriors.safetensors"
COMMAND = "python -m tools.posteriors"
LEVELS, FLOWS, FRESH, OBSERVATIONS, SAMPLES = (0.5, 0.8, 0.95), 3, 2000, 5, 10_000
STEPS = {1000: 500, 10_000: 1500, 30_000: 2500}  # runs of the simulator -> steps of 256 pairs


def trained(task: Simulator, runs: int) -> tuple[list[Flow], float]:
    """Three flows from different starts on the same pairs, and the CPU seconds of all three."""
    theta, x = task.pairs(runs, seed=1)
    flows, start = [], time.process_time()
    for seed in range(FLOWS):
        torch.manual_seed(seed)
        flows.append(posterior_flow(task.low, task.high, task.observed))
        fit(flows[-1], theta, context=x, steps=STEPS[runs], batch=256, seed=seed)
    return flows, time.process_time() - start


def covered(flow: Flow | Ensemble, task: Simulator) -> dict[str, float]:
    """How often the densest regions hold the truth, by their level."""
    shares = coverage(flow, *task.pairs(FRESH, seed=2))
    return {f"{level:g}": round((shares < level).double().mean().item(), 4) for level in LEVELS}


def told_apart(flow: Flow | Ensemble, task: TwoMoons) -> list[float]:
    """c2st against the exact posterior, one for each observation."""
    _, observations = task.pairs(OBSERVATIONS, seed=3)
    torch.manual_seed(0)
    pairs = [(flow.sample(SAMPLES, x), task.posterior(x, SAMPLES)) for x in observations]
    return [round(c2st(samples, reference), 4) for samples, reference in pairs]


def leaked(task: TwoMoons) -> float:
    """The share of samples outside of the prior's box, of a spline flow that ends in units of the data."""
    theta, x = task.pairs(10_000, seed=1)
    torch.manual_seed(0)
    flow = spline_flow(2, layers=6, bins=8, context_dim=2)
    fit(flow, theta, context=x, steps=STEPS[10_000], batch=256)
    samples = flow.sample((20, FRESH), task.pairs(FRESH, seed=2)[1])
    return round((samples.abs() > 1).any(-1).double().mean().item(), 4)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    tensors, rows = {}, []
    for name, task, runs in (
        ("two moons", TwoMoons(), 1000),
        ("two moons", TwoMoons(), 10_000),
        ("pendulum", Pendulum(), 30_000),
    ):
        flows, seconds = trained(task, runs)
        for kind, flow in {"one flow": flows[0], "ensemble of 3": Ensemble(flows)}.items():
            row = {"task": name, "runs": runs, "flow": kind, "coverage": covered(flow, task)}
            if isinstance(task, TwoMoons):
                row["c2st"] = told_apart(flow, task)
            rows.append(row | {"training_s": round(seconds / (FLOWS if kind == "one flow" else 1), 1)})
            print(rows[-1], flush=True)
        if runs > 1000:
            for k, flow in enumerate(flows):
                tensors |= {f"{name} {k}/{key}": value.contiguous() for key, value in flow.state_dict().items()}
    safetensors.torch.save_file(tensors, WEIGHTS)
    settings = {"fresh_pairs": FRESH, "samples": SAMPLES, "leaked": leaked(TwoMoons())}
    OUT.write_text(json.dumps({"command": COMMAND, **settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
