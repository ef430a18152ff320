"""The three flows of notebook 10 that learned two moons by flow matching: straight paths, transport, diffusion.

    python -m tools.matched_moons          in about four minutes on one core

The same network, start and batches; only the pairs and paths differ. Written are the weights of their fields,
flowlib/models/trained/matched_moons.safetensors; printed is how far each is above the floor.
"""

import argparse
import time

import safetensors.torch
import torch

from flowlib.datasets import toy
from flowlib.models import flow_matching
from flowlib.models.checkpoint import FOLDER
from flowlib.models.of_pages import MATCHED
from flowlib.training import fit_matching

WEIGHTS = FOLDER / "matched_moons.safetensors"
WAYS = {"straight": {}, "transport": {"transport": True}, "diffusion": {"path": "diffusion"}}


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    moons = toy.two_moons(noise=0.1)
    rows, fresh, tensors = moons.sample(20_000, seed=4), moons.sample(10_000, seed=9), {}
    for name, way in WAYS.items():
        torch.manual_seed(0)
        flow, start = flow_matching(**MATCHED), time.process_time()
        fit_matching(flow, rows, steps=4000, batch=512, lr=0.01, held_out=0.05, **way)
        with torch.no_grad():
            gap = (moons.log_prob(fresh) - flow.log_prob(fresh)).mean().item()
        print(f"{name:10} {gap:.3f} nats above the floor, {time.process_time() - start:.0f} s", flush=True)
        tensors |= {f"{name}/{key}": value.contiguous() for key, value in flow.state_dict().items()}
    safetensors.torch.save_file(tensors, WEIGHTS)


if __name__ == "__main__":
    main()
