"""The usual idiom: `interact` and a fresh figure of what the explorer shows."""

import ipywidgets
import matplotlib.pyplot as plt
import torch
from matplotlib.collections import LineCollection

from flowlib import Flow
from flowlib.bases import StandardNormal
from flowlib.transforms import Planar
from flowlib.viz.flows.plane import mass

side, along = torch.linspace(-4, 4, 200), torch.linspace(-3, 3, 73)
pixels = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)
upright = torch.stack(torch.meshgrid(along[::6], along, indexing="ij"), -1)  # (lines, vertices, 2)
grid = torch.cat([upright, upright.flip(-1)])
z = torch.randn(500, 2)


def show(b):
    with torch.inference_mode():
        flow = Flow(Planar(2, u=[2.0, 0.0], w=[1.0, 0.5], b=b), StandardNormal(2))
        density, (lines, log_det), x = flow.log_prob(pixels).exp(), flow.transform(grid), flow.transform(z)[0]
        total = mass(flow, [(-3, 3), (-3, 3)])
    segments = torch.stack([lines[:, :-1], lines[:, 1:]], 2).flatten(0, 1)  # (segments, 2 ends, 2)
    plt.figure(figsize=(5, 5))
    plt.imshow(density, origin="lower", extent=(-4, 4, -4, 4))
    plt.colorbar(label="p(x)", shrink=0.7)
    lines = LineCollection(segments.numpy(), array=log_det[:, 1:].flatten(), cmap="PiYG", clim=(-2, 2), lw=0.8)
    plt.colorbar(plt.gca().add_collection(lines), label="log |det J|", shrink=0.7)
    plt.scatter(x[:, 0], x[:, 1], s=3, color="white")
    plt.title(f"mass of the density {total:.3f}")
    plt.xlim(-4, 4)
    plt.ylim(-4, 4)
    plt.show()


_ = ipywidgets.interact(show, b=ipywidgets.FloatSlider(0.0, min=-4, max=4, step=0.05))
