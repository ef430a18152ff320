"""Models of a simulated camera's noise against its exact density, for notebook 11b.

    python -m tools.noise          in about two minutes on one core

Nats a pixel on fresh patches: `gap` is how far a model is below the truth (its Kullback–Leibler divergence from it),
with the standard error over patches; `clipped` the share of pixels that the stored picture clips. Written are
notebooks/data/noise.json and the weights of the whole flow, flowlib/models/trained/camera_noise.safetensors.
"""

import argparse
import json
import time

import safetensors.torch
import torch
from torch import Tensor

from flowlib import Flow
from flowlib.datasets import Camera
from flowlib.models import gaussian_noise, noise_flow
from flowlib.models.checkpoint import FOLDER
from flowlib.training import fit
from tools.families import OUT as FAMILIES_OUT
from tools.families import parameters

OUT, WEIGHTS = FAMILIES_OUT.with_name("noise.json"), FOLDER / "camera_noise.safetensors"
COMMAND = "python -m tools.noise"
PATCHES, STEPS, BATCH, LR, TEST = 4000, 1500, 32, 1e-2, 2000
CAMERA = Camera()
FLOWS = {  # name -> what the recipe leaves out
    "flow of levels alone": {"bins": 0, "filters": 0},
    "flow without neighbours": {"filters": 0},
    "flow without tails": {"bins": 0},
    "flow": {},
}


def fitted(name: str, noise: Tensor, context: Tensor) -> tuple[Flow, float]:
    """The flow of this name, trained, and the CPU seconds that it took."""
    torch.manual_seed(0)
    flow, start = noise_flow(CAMERA.shape, **FLOWS[name]), time.process_time()
    fit(flow, noise, steps=STEPS, batch=BATCH, lr=LR, context=context, seed=0)
    return flow, time.process_time() - start


@torch.no_grad()
def row(name: str, nats: Tensor, truth: Tensor, **more: float) -> dict:
    gap = (truth - nats) / CAMERA.pixels
    error = gap.std().item() / len(gap) ** 0.5
    mean = nats.mean().item() / CAMERA.pixels
    found = {
        "model": name,
        "nats": round(mean, 4),
        "gap": round(gap.mean().item(), 4),
        "error": round(error, 4),
        **more,
    }
    print(found, flush=True)
    return found


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    (train, known), (noise, context) = CAMERA.sample(PATCHES, seed=100), CAMERA.sample(TEST, seed=9)
    truth = CAMERA.log_prob(noise, context)
    rows = [
        row("Gaussian", gaussian_noise(noise, train.std()), truth, parameters=1),
        row("noise level function", gaussian_noise(noise, CAMERA.levels(context).float()), truth, parameters=3),
    ]
    for name in FLOWS:
        flow, seconds = fitted(name, train, known)
        with torch.no_grad():
            nats = flow.log_prob(noise, context)
        rows.append(row(name, nats, truth, parameters=parameters(flow), training_s=round(seconds, 1)))
    safetensors.torch.save_file(flow.state_dict(), WEIGHTS)
    rows.append(row("truth", truth, truth))
    clean = 255.0 * context[:, :-1].reshape(-1, *CAMERA.shape)
    clipped = ((clean + noise) != CAMERA.expose(clean, noise)).float().mean().item()
    settings = {"patches": PATCHES, "steps": STEPS, "batch": BATCH, "lr": LR, "test": TEST}
    found = {"command": COMMAND, **settings, "clipped": round(clipped, 4), "rows": rows}
    OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
