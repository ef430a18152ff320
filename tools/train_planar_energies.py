"""Trains the planar flows of notebook 04 and stores them: length K = 2, 8, 32 on each of the energies u1 to u4.

    .venv/bin/python -m tools.train_planar_energies

Each from three random starts by reverse KL; the one with the lowest held-out loss is kept. That takes some minutes of
one core; the weights, 840 numbers, go to flowlib/models/trained/planar_energies.safetensors.
"""

import safetensors.torch
import torch
from torch import Tensor

from flowlib.datasets import energies
from flowlib.models import planar_flow
from flowlib.models.checkpoint import FOLDER
from flowlib.training import fit_energy

LENGTHS, STARTS, STEPS, BATCH, LR = (2, 8, 32), 3, 4000, 256, 0.03


def best_of_starts(name: str, length: int) -> tuple[float, dict[str, Tensor]]:
    """The distance from the floor and the weights of the best of the starts, without the buffers of the base."""
    best = float("inf"), {}
    for seed in range(STARTS):
        torch.manual_seed(seed)
        flow = planar_flow(layers=length)
        history = fit_energy(flow, energies.get(name), steps=STEPS, batch=BATCH, lr=LR, seed=seed)
        if history.gap < best[0]:
            best = history.gap, {key: value.detach().clone() for key, value in flow.named_parameters()}
    return best


if __name__ == "__main__":
    torch.set_num_threads(1)
    stored = {}
    for name in energies.NAMES:
        for length in LENGTHS:
            gap, stored[f"{name}, K = {length}"] = best_of_starts(name, length)
            print(f"{name}, K = {length:2}: {gap:.3f} nats above the floor", flush=True)
    flat = {f"{flow}/{name}": value for flow, state in stored.items() for name, value in state.items()}
    safetensors.torch.save_file(flat, FOLDER / "planar_energies.safetensors")
