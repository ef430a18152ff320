"""Flow matching: a velocity field learned without solving its equation.

Draw noise z and a point u of the data, and let one run to the other on a path of your choice, x_t from x_0 = z to
x_1 = u. Regress the field on the velocity of that path:

    minimise   E_{t, z, u} ‖v(t, x_t) − dx_t / dt‖²

The minimum is v(t, x) = E[dx_t / dt | x_t = x], and this field carries p_Z to the law of the data: the crossing paths
of single pairs become paths that never meet. The times may have any law; here they crowd where the finest details of
the data are made, t = 1 − s² for s uniform. The loss is no likelihood, and its floor is not known. The likelihood is
that of the flow whose field was learned, `flow.log_prob`.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from flowlib.core import Compose, Flow
from flowlib.support.checks import check_choice
from flowlib.training import verdict
from flowlib.training.batches import FRESH, Rows, Sampler, mean_in_chunks, points_of
from flowlib.training.descend import descend
from flowlib.training.history import History
from flowlib.training.inputs import check_flow, check_numbers
from flowlib.training.interrupted import Kept, fingerprint
from flowlib.training.loop import learn_units
from flowlib.training.seeds import seeded
from flowlib.transforms import Continuous, InContextUnits

PAIRED = 512  # rows that are paired at once: the time for it grows with their cube
Interpolant = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def straight(t: Tensor, z: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = (1 − t) z + t u and its velocity: t (n, 1), z and u (n, D)."""
    return torch.lerp(z, u, t), u - z


def diffusion(t: Tensor, z: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """x_t = cos(πt/2) z + sin(πt/2) u and its velocity: the squares of both weights add up to 1, as in a diffusion that
    keeps the variance."""
    angle = 0.5 * math.pi * t
    return angle.cos() * z + angle.sin() * u, 0.5 * math.pi * (angle.cos() * u - angle.sin() * z)


PATHS: dict[str, Interpolant] = {"straight": straight, "diffusion": diffusion}


class Matching:
    """The loss of flow matching for a flow, point by point.

    Args:
        flow: its first layer, and no other, is `Continuous`; what stands behind that gives the units of the data.
        path, transport: as in `fit_matching`.
    """

    def __init__(self, flow: Flow, path: str = "straight", transport: bool = False):
        self.path = PATHS[check_choice("fit_matching", "path", path, tuple(PATHS))]
        self.flow, self.base, self.transport = flow, flow.base, transport
        first, *behind = flow.transform.layers()
        in_units = isinstance(first, InContextUnits)
        layer = first.transform if in_units else first
        kinds = [each.kind for each in (first, *behind)]
        if not isinstance(layer, Continuous) or "Continuous" in kinds[1:]:
            raise ValueError(
                "fit_matching trains a flow whose first layer, and no other, is Continuous, such as flow_matching(2); "
                f"the layers of this one are {', '.join(kinds)}. Train it with fit."
            )
        self.field, self.behind = layer.field, Compose(behind, layer.data_shape)
        self.units = first.standard if in_units else None

    def draw(self, n: int) -> tuple[Tensor, Tensor]:
        """n times t = 1 − s², (n, 1), each s from another n-th of [0, 1], and n points of the base, (n, D)."""
        z = self.base.sample(n)
        s = (torch.randperm(n, device=z.device) + torch.rand(n, device=z.device)) / n
        return (1.0 - s.square()).to(z.dtype).unsqueeze(-1), z

    def draws(self, n: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The same for ever, for one batch of n after the other; many are drawn at once."""
        while True:
            yield from zip(*(part.split(n) for part in self.draw(FRESH * n)), strict=True)

    def losses(self, t: Tensor, z: Tensor, x: Tensor, context: Tensor | None = None) -> Tensor:
        """‖v(t, x_t) − dx_t / dt‖² for each row: t (n, 1), noise z and data x (n, D), context (n, C) -> (n,)."""
        with torch.no_grad():
            u = self.behind.inverse(x)[0]
            at, velocity = self.path(t, paired(z, u) if self.transport else z, u)
        context = context if self.units is None else self.units.standard(context)
        return (self.field.velocity(t.squeeze(-1), at, context) - velocity).square().sum(-1)


def fit_matching(
    flow: Flow,
    data: Tensor | Sampler,
    steps: int = 3000,
    batch: int = 512,
    lr: float = 1e-2,
    *,
    path: str = "straight",
    transport: bool = False,
    context: Tensor | None = None,
    held_out: float | Tensor | tuple[Tensor, ...] = 0.1,
    clip: float = 5.0,
    patience: int | None = None,
    callback: Callable[[int, History], object] | None = None,
    snapshots: int = 0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> History:
    """Flow matching: make the field of the flow follow paths from noise to data.

    The weights are kept that were best on held-out points with fixed noise and times. The history holds the losses of
    matching, which have no floor, and in `nats` the exact likelihood of the held-out points.

    Args:
        flow: what is trained, in place: its first layer is `Continuous`, as in `flow_matching` and `ffjord`. The paths
            end at the data as that layer gives them: those behind it are not trained.
        data, steps, batch, lr, held_out, clip, patience, callback, snapshots, seed, checkpoint: as in `fit`.
        path: "straight" (Lipman et al. 2023 with σ_min = 0; Liu et al. 2023) or "diffusion", which keeps the variance
            (Albergo and Vanden-Eijnden 2023; the schedule is that of Nichol and Dhariwal 2021).
        transport: pair the noise with the points of each batch so that the sum of their squared distances is least
            (Tong et al. 2024), 512 of them at once: straighter paths. Not with a context: the noise of one context
            would no longer be p_Z.
        context: conditions (n, C), one row for each row of data.

    Paper: Lipman et al. (2023), arXiv 2210.02747, equations 9 and 23; Liu et al. (2023), arXiv 2209.03003, equation 1;
    Tong et al. (2024), arXiv 2302.00482, section 3.2.3; Albergo and Vanden-Eijnden (2023), arXiv 2209.15571; Nichol and
    Dhariwal (2021), arXiv 2102.09672.

    >>> from flowlib.models import flow_matching
    >>> flow, x = flow_matching(hidden=[8, 8], steps=4), torch.randn(200, 2)
    >>> history = fit_matching(flow, x, steps=3)
    >>> len(history.losses), flow.log_prob(x).shape
    (3, torch.Size([200]))
    """
    check_flow("fit_matching", flow, context_given=context is not None)
    if transport and context is not None:
        raise ValueError(
            "fit_matching: transport=True pairs noise with points of any context, and the noise of one context is then "
            "no longer that of the base. Leave out the context, or transport."
        )
    return follow(
        Matching(flow, path, transport), data, name="fit_matching", steps=steps, batch=batch, lr=lr, context=context,
        held_out=held_out, clip=clip, patience=patience, callback=callback, snapshots=snapshots, seed=seed,
        checkpoint=checkpoint, settings={"path": path, "transport": transport},
    )  # fmt: skip


def follow(
    matching: Matching,
    data: Tensor | Sampler,
    *,
    name: str,
    steps: int,
    batch: int,
    lr: float,
    context: Tensor | None,
    held_out: float | Tensor | tuple[Tensor, ...],
    clip: float,
    patience: int | None,
    callback: Callable[[int, History], object] | None,
    snapshots: int,
    seed: int,
    checkpoint: str | Path | None,
    settings: Mapping[str, object],
) -> History:
    """Descend a loss of matching; `name` is who speaks in messages, `settings` what else a checkpoint must agree in."""
    lr, clip = check_numbers(name, steps, batch, lr, clip, snapshots, patience)
    flow, generator = matching.flow, torch.Generator().manual_seed(seed)
    points = points_of(flow, data, batch, generator, held_out=held_out, context=context)
    numbers = {"steps": steps, "batch": batch, "lr": lr, "clip": clip, "snapshots": snapshots, "seed": seed}
    numbers |= {**settings, "data": fingerprint(*points.all)}
    kept = None if checkpoint is None else Kept(checkpoint, numbers)

    def loss_at(step: int) -> tuple[Tensor, Tensor]:
        *rows, _ = next(points.batches)
        t, z = (part[: len(rows[0])] for part in next(draws))
        loss = matching.losses(t, z, *rows).mean()
        return loss, loss

    def evaluate() -> float:
        return mean_in_chunks(matching.losses, fixed)

    def explain() -> str:
        return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

    with seeded(seed, next(flow.parameters()).device):
        learn_units(flow, *points.first)
        fixed: Rows = (*matching.draw(len(points.held_out[0])), *points.held_out[:-1])
        draws = matching.draws(batch)
        history = descend(
            flow, loss_at, evaluate, explain, name=name, steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=None, patience=patience, callback=callback, kept=kept,
            skip=lambda steps: [(next(points.batches), next(draws)) for _ in range(steps)],
        )  # fmt: skip
    with torch.no_grad():
        nats = -flow.log_prob(*points.held_out[:-1])
    history.nats = float(nats.mean())
    history.verdict = verdict.of_fit(history, points.all[0], nats)
    return history


def paired(z: Tensor, u: Tensor) -> Tensor:
    """The rows of z in the order in which the sum of their squared distances to those of u is least, (n, D); of many
    rows, 512 after 512."""
    from scipy.optimize import linear_sum_assignment  # SciPy comes with torchdiffeq, and takes a while

    pieces = []
    for noise, points in zip(z.split(PAIRED), u.split(PAIRED), strict=True):
        _, order = linear_sum_assignment(torch.cdist(points, noise).square().cpu())
        pieces.append(noise[torch.as_tensor(order, device=z.device)])
    return torch.cat(pieces)
