"""The density of a flow on pixels, in the direction that is cheap.

A transform says what its two directions cost. As a rule p_X is evaluated at each pixel, by the inverse. Where that is
much dearer than the map itself (roots in every layer) a mesh of the base is carried forward instead: at a corner
x = f(z) the density p_Z(z) / |det J| is known exactly, inside a cell of the mesh position and log-density are
interpolated, and a pixel gets the mean of what falls into it. Invertible maps do not fold, so nothing is counted twice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.viz.flows.plane import base_range, pixels

REACH = 0.4  # the mesh goes that much of the base's range (mean ± 3 deviations) beyond it at each side: to 5.4
FINE = 6  # points a side of a cell of the mesh, at most
MESH = 4  # a mesh takes about four times as long as the evaluation of a formula at as many pixels


def density_on(flow: Flow, xlim: tuple[float, float], ylim: tuple[float, float], n: int) -> Tensor:
    """p_X on n x n pixels, row 0 at the bottom: (n, n)."""
    forward, inverse = flow.transform.costs
    if MESH * forward.passes < inverse.passes:
        return painted(flow, xlim, ylim, n)
    return flow.log_prob(pixels(xlim, ylim, n)[0]).exp()


def painted(flow: Flow, xlim: tuple[float, float], ylim: tuple[float, float], n: int) -> Tensor:
    """p_X on n x n pixels by carrying a mesh of n x n points of the base forward."""
    edge = REACH if flow.base.box is None else 0.0
    box = [(low - edge * (high - low), high + edge * (high - low)) for low, high in base_range(flow.base)]
    z = pixels(*box, n)[0]  # (n, n, 2)
    x, log_det = flow.transform(z)
    return from_mesh(x, flow.base.log_prob(z) - log_det, xlim, ylim)


def from_mesh(x: Tensor, log_p: Tensor, xlim: tuple[float, float], ylim: tuple[float, float]) -> Tensor:
    """A density on n x n pixels from where a mesh of as many points has come to, x (n, n, 2), and its logarithm there,
    (n, n)."""
    n = len(x)
    corners = torch.cat([x, log_p.unsqueeze(-1)], -1)  # (n, n, 3): x, y and log p
    step = torch.tensor([(xlim[1] - xlim[0]) / n, (ylim[1] - ylim[0]) / n])
    inside = cells_near(x, xlim, ylim)
    size = torch.maximum((x[1:, :-1] - x[:-1, :-1]).abs() / step, (x[:-1, 1:] - x[:-1, :-1]).abs() / step)
    wanted = size.amax(-1).nan_to_num(0.0)[inside]  # pixels that a cell of the mesh covers, (cells,)
    cells = torch.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]], -2)[inside]
    total, hits = torch.zeros(n * n), torch.zeros(n * n)
    for k in range(1, FINE + 1):  # a cell that covers more pixels gets more points
        part = cells[(wanted > k - 1) & (wanted <= k)] if k < FINE else cells[wanted > k - 1]
        points = (weights(k) @ part).reshape(-1, 3)  # (cells · k², 3)
        column, row = ((points[:, :2] - torch.tensor([xlim[0], ylim[0]])) / step).floor().long().unbind(-1)
        seen = (column >= 0) & (column < n) & (row >= 0) & (row < n) & points[:, 2].isfinite()
        at = (row * n + column)[seen]
        total += torch.bincount(at, points[seen, 2].exp(), n * n)
        hits += torch.bincount(at, minlength=n * n)
    return filled(total.reshape(n, n), hits.reshape(n, n))


def cells_near(x: Tensor, xlim: tuple[float, float], ylim: tuple[float, float]) -> Tensor:
    """Which cells of the mesh x (n, m, 2) have a corner in the window, (n - 1, m - 1)."""
    low, high = torch.tensor([[xlim[0], ylim[0]], [xlim[1], ylim[1]]])
    near = ((x >= low) & (x <= high)).all(-1)
    return near[:-1, :-1] | near[:-1, 1:] | near[1:, :-1] | near[1:, 1:]


def weights(k: int) -> Tensor:
    """Bilinear weights of the four corners at k x k points spread evenly over a cell, (k², 4)."""
    t = (torch.arange(k) + 0.5) / k
    v, u = torch.meshgrid(t, t, indexing="ij")
    return torch.stack([(1 - u) * (1 - v), u * (1 - v), (1 - u) * v, u * v], -1).reshape(-1, 4)


def filled(total: Tensor, hits: Tensor) -> Tensor:
    """total / hits (n, n), pixels without a hit from the mean of the nearest ones that have some: 3 x 3, then 9 x 9."""
    density = total / hits.clamp_min(1.0)
    for width in (3, 9):
        sums = torch.nn.functional.avg_pool2d(
            torch.stack([density * (hits > 0), (hits > 0).float()])[None], width, 1, width // 2
        )[0]
        few = (hits == 0) & (sums[1] > 0.3)  # outside the mesh there is nothing to fill
        density = torch.where(few, sums[0] / sums[1].clamp_min(1e-9), density)
        hits = torch.where(few, 1.0, hits)
    return density
