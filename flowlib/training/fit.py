"""Training a flow to samples by maximum likelihood.

    minimise   −E_{x ~ data} log q(x)  =  H(data) + KL(data ‖ q)

H(data) is the floor: no flow can go below. The weights are kept that were best on points that were not trained on, and
the global random state stays as it is: everything random comes from `seed`.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training import verdict
from flowlib.training.batches import Sampler, mean_in_chunks, points_of
from flowlib.training.descend import descend
from flowlib.training.history import History
from flowlib.training.inputs import check_floor, check_flow, check_numbers, numbers
from flowlib.training.interrupted import Kept, fingerprint
from flowlib.training.loop import learn_units
from flowlib.training.seeds import seeded


def fit(
    flow: Flow,
    data: Tensor | Sampler,
    steps: int = 2000,
    batch: int = 512,
    lr: float = 5e-3,
    *,
    context: Tensor | None = None,
    weights: Tensor | None = None,
    entropy: float | None = None,
    held_out: float | Tensor | tuple[Tensor, ...] = 0.1,
    clip: float = 5.0,
    patience: int | None = None,
    callback: Callable[[int, History], object] | None = None,
    snapshots: int = 0,
    seed: int = 0,
    compile: bool = False,
    checkpoint: str | Path | None = None,
    penalty: Callable[..., Tensor] | None = None,
) -> History:
    """Maximum likelihood: make the data as probable as possible.

    Adam, its step following a cosine from `lr` to 0; the flow ends in eval mode with the weights that were best on
    held-out points. The stop button of a notebook ends a fit early without losing anything. What is the matter with
    the data or with the result, the history says in its verdict.

    Args:
        flow: what is trained, in place.
        data: points (n, D) or images (n, C, H, W), of which a part is held out; or a sampler such as
            `toy.two_moons()`: every batch is fresh.
        steps, batch, lr: how many steps, points in each, and the length of the first.
        context: conditions (one-hot labels, say), one row for each row of data, (n, C), for context_dim = C.
        weights: (n,), none below zero: how much each row counts.
        entropy: of the data, in nats, if known: the floor of the loss. A sampler brings its own.
        held_out: the fraction of the rows that is held out; or points of your own, with their contexts if there are
            any: (points, contexts). A sampler makes fresh ones itself.
        clip: gradients longer than this are cut to it.
        patience: end after so many looks at the held-out points without a better one; there are 40 in a long fit.
        callback: called with the step and the history after each look.
        snapshots: how many states of the flow to record for scrubbing.
        seed: of the split and the batches.
        compile: let torch compile the loss first: some ten seconds of waiting, then faster steps.
        checkpoint: a folder in which the fit keeps its state at each look. Where it was interrupted, the same call goes
            on from there, to the numbers that it would have come to.
        penalty: (flow, x, context if there is one) -> a number that is added to the loss of each batch, and left out of
            the history: how far and how bent the ways of a continuous flow are, say (`Continuous.effort`).

    >>> from flowlib.models import real_nvp
    >>> history = fit(real_nvp(layers=2), torch.randn(200, 2), steps=3)
    >>> len(history.losses), sorted(history.held_out)
    (3, [0, 3])
    """
    check_flow("fit", flow, context_given=context is not None)
    lr, clip = check_numbers("fit", steps, batch, lr, clip, snapshots, patience)
    entropy = check_floor(entropy)
    generator = torch.Generator().manual_seed(seed)
    points = points_of(flow, data, batch, generator, held_out=held_out, context=context, weights=weights)
    settings = {"steps": steps, "batch": batch, "lr": lr, "clip": clip, "snapshots": snapshots, "seed": seed}
    kept = None if checkpoint is None else Kept(checkpoint, {**settings, "data": fingerprint(*points.all)})
    log_prob = torch.compile(flow.log_prob) if compile else flow.log_prob

    def loss_at(step: int) -> tuple[Tensor, Tensor]:
        *rows, weight = next(points.batches)
        loss = -(weight * log_prob(*rows)).mean()
        return loss if penalty is None else loss + penalty(flow, *rows), loss

    def losses(*rows: Tensor) -> Tensor:
        return -rows[-1] * flow.log_prob(*rows[:-1])

    def evaluate() -> float:
        return mean_in_chunks(losses, points.held_out)

    def explain() -> str:
        with torch.no_grad():
            bad = (~flow.log_prob(*points.all[:-1]).isfinite()).nonzero().flatten()
        if len(bad):
            return (
                f"Likely cause: log_prob is not finite for {len(bad)} of {len(points.all[0])} points even with the "
                f"best weights, the first is row {int(bad[0])}, {numbers(points.all[0][bad[0]])}. There the flow has "
                "no density: outside the box of a uniform base, or at the end of an interval that a Sigmoid opens?"
            )
        return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

    with seeded(seed, next(flow.parameters()).device):
        learn_units(flow, *points.first)
        history = descend(
            flow, loss_at, evaluate, explain, name="fit", steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=points.floor if entropy is None else entropy, patience=patience, callback=callback, kept=kept,
            skip=lambda steps: [next(points.batches) for _ in range(steps)],
        )  # fmt: skip
    with torch.no_grad():
        history.verdict = verdict.of_fit(history, points.all[0], -flow.log_prob(*points.held_out[:-1]))
    return history
