"""The picture of the README: a Gaussian bent by five layers. `python -m tools.picture` draws it again."""

from pathlib import Path

import torch

from flowlib import Compose, Flow
from flowlib.bases import StandardNormal
from flowlib.transforms import Planar, Radial
from flowlib.viz import filmstrip

PATH = Path(__file__).resolve().parent.parent / "notebooks" / "pictures" / "filmstrip.png"


def bent() -> Flow:
    """Squeeze, pull apart, bend, roll into an S, open it."""
    layers = [
        Planar(2, u=[0.0, -0.6], w=[0.0, 1.5], b=0.0),
        Planar(2, u=[1.5, 0.0], w=[2.0, 0.0], b=0.0),
        Planar(2, u=[0.0, 1.9], w=[1.2, 0.0], b=0.0),
        Planar(2, u=[-2.6, 0.0], w=[0.0, 1.1], b=0.0),
        Radial(2, z0=[0.0, 0.0], alpha=0.8, beta=1.2),
    ]
    return Flow(Compose(layers), StandardNormal(2))


if __name__ == "__main__":
    torch.set_num_threads(1)
    PATH.parent.mkdir(exist_ok=True)
    PATH.write_bytes(filmstrip(bent(), window=4.4).png())
    print(f"{PATH.relative_to(PATH.parents[2])}: {PATH.stat().st_size // 1000} kB")
