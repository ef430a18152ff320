"""The image models that come with flowlib, in one table, for notebook 08.

    python -m tools.image_models          writes notebooks/data/image_models.json, in seconds on one core

Parameters, bits per dimension, time and device of the training are read from the cards; what is measured here is the
time to draw 64 samples with one thread of this CPU, the least of a few rounds.
"""

import argparse
import json
import time
from pathlib import Path

import torch

from flowlib.models.pretrained import load, names
from flowlib.pixels.pixel_flow import PixelFlow

OUT = Path(__file__).resolve().parent.parent / "notebooks" / "data" / "image_models.json"
SAMPLES, ROUNDS = 64, 3


def sampling_seconds(model: PixelFlow) -> float:
    """The least time of a few: what disturbs it only adds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        model.sample(SAMPLES)
        times.append(time.perf_counter() - start)
    return min(times)


def row(name: str) -> dict:
    """What the table says of one model."""
    model = load(name)
    card = model.card
    return {
        "name": name,
        "parameters": card["parameters"],
        "bits_per_dim": round(card["test"]["bits_per_dim"], 3),
        "training_s": round(card["seconds"]),
        "device": card["device"],
        f"sample_{SAMPLES}_s": round(sampling_seconds(model), 2),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rows = []
    print(f"{'model':18} {'parameters':>10} {'bits':>6} {'training':>10} {'on':>6} {f'{SAMPLES} samples':>11}")
    for r in map(row, names()):
        rows.append(r)
        trained, drawn = f"{r['training_s']:,} s", f"{r[f'sample_{SAMPLES}_s']:.2f} s"
        print(
            f"{r['name']:18} {r['parameters']:10,} {r['bits_per_dim']:6.3f} {trained:>10} {r['device']:>6} {drawn:>11}"
        )
    OUT.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
