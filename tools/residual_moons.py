"""A residual flow on two moons, fitted with several ways to take its log-determinant, for notebook 09.

    python -m tools.residual_moons          in about six minutes on one core

Each way is fitted from the same start with the same batches. `claimed` are the nats above the floor by the
log-determinants that it was trained with, `gap` by exact ones, on the same fresh points; a claim below zero is one that
no density can keep. The curve holds both along the way. Written are the table, notebooks/data/residual.json, and the
weights of the flow that was fitted with exact log-determinants, flowlib/models/trained/residual_moons.safetensors.
"""

import argparse
import json
import time

import safetensors.torch
import torch
from torch import Tensor

from flowlib import Flow
from flowlib.datasets import toy
from flowlib.models import residual_flow
from flowlib.models.checkpoint import FOLDER
from flowlib.training import fit
from flowlib.transforms import Exact, PowerSeries, Residual, Roulette
from flowlib.transforms.series import LogDet
from tools.families import OUT as FAMILIES_OUT

OUT, WEIGHTS = FAMILIES_OUT.with_name("residual.json"), FOLDER / "residual_moons.safetensors"
COMMAND = "python -m tools.residual_moons"
NOISE, STEPS, BATCH, LR, POINTS = 0.05, 1500, 256, 1e-2, 10_000
WAYS: dict[str, LogDet] = {
    "exact": Exact(),
    "1 term": PowerSeries(1),
    "2 terms": PowerSeries(2),
    "4 terms": PowerSeries(4),
    "10 terms": PowerSeries(10),
    "roulette": Roulette(least=4, stop=0.25, probes=0, saves_memory=False),
}


def use(flow: Flow, way: LogDet) -> Flow:
    """The flow, its residual layers taking their log-determinants this way."""
    for module in flow.modules():
        if isinstance(module, Residual):
            module.log_det = way
    return flow


@torch.no_grad()
def above(flow: Flow, way: LogDet, x: Tensor, floor: Tensor) -> float:
    """Mean nats above the floor, with this way of taking log-determinants."""
    return round((floor - use(flow, way).log_prob(x)).mean().item(), 4)


def row(name: str) -> dict:
    """One way: fitted, with its curve. A roulette claims what is right on average, so its claim is the exact one."""
    way, data = WAYS[name], toy.two_moons(noise=NOISE)
    claims = way if way.settled else Exact()
    few, x = data.sample(2000, seed=1), data.sample(POINTS, seed=2)
    curve: list[tuple[int, float, float]] = []
    torch.manual_seed(0)
    flow = use(residual_flow(), way)

    def look(step: int, _: object) -> None:
        curve.append(
            (step, above(flow, claims, few, data.log_prob(few)), above(flow, Exact(), few, data.log_prob(few)))
        )
        use(flow, way)

    start = time.process_time()
    fit(flow, data, steps=STEPS, batch=BATCH, lr=LR, callback=look)
    seconds = time.process_time() - start
    if name == "exact":
        safetensors.torch.save_file(flow.state_dict(), WEIGHTS)
    gap, claimed = (above(flow, each, x, data.log_prob(x)) for each in (Exact(), claims))
    return {"way": name, "claimed": claimed, "gap": gap, "training_s": round(seconds, 1), "curve": curve}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in WAYS:
        rows.append(row(name))
        print({key: value for key, value in rows[-1].items() if key != "curve"}, flush=True)
    settings = {"noise": NOISE, "steps": STEPS, "batch": BATCH, "lr": LR, "points": POINTS}
    OUT.write_text(json.dumps({"command": COMMAND, **settings, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
