"""Fitting a flow one layer after the other: each looks at the points that reach it and becomes what it should be.

No gradient descent: the layer nearest to the data learns first, carries the points one step towards the noise, and the
next one learns from there (`Transform.learn`). What came before is never touched again.
"""

import time

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training import verdict
from flowlib.training.batches import of_tensor
from flowlib.training.history import History
from flowlib.training.inputs import check_floor, check_flow, check_numbers
from flowlib.training.loop import Bar, Best, copies, learn_units
from flowlib.training.seeds import seeded


def fit_greedy(
    flow: Flow,
    data: Tensor,
    *,
    entropy: float | None = None,
    held_out: float | Tensor = 0.1,
    patience: int = 10,
    snapshots: int = 0,
    seed: int = 0,
) -> History:
    """Maximum likelihood, layer by layer from the data to the noise, until held-out points gain no more.

    The flow ends in eval mode with as many learned layers as were best on held-out points; the others are as they
    were, the identity in `gaussianization` and `density_ascent`. Layers that cannot learn from points stay. A step of
    the history is a layer.

    Args:
        flow: what is fitted, in place.
        data: points (n, D), of which a part is held out.
        entropy: of the data, in nats, if known: the floor of the loss.
        held_out: the fraction of the rows that is held out; or points of your own.
        patience: end after so many layers without a better one.
        snapshots: how many states of the flow to record for scrubbing.
        seed: of the split and of what layers draw.

    >>> from flowlib.models import gaussianization
    >>> history = fit_greedy(gaussianization(layers=3), torch.rand(500, 2))
    >>> history.best < history.held_out[0]
    True
    """
    check_flow("fit_greedy", flow, context_given=False)
    check_numbers("fit_greedy", 1, 1, 1.0, 1.0, snapshots, patience)
    floor, started = check_floor(entropy), time.perf_counter()
    generator = torch.Generator().manual_seed(seed)
    points = of_tensor(flow, data, None, None, held_out, len(data), generator)
    (train, _), (test, _) = next(points.batches), points.held_out
    with seeded(seed, train.device):
        learn_units(flow, *points.first)
    layers = flow.eval().transform.layers()[::-1]  # the data end first
    best, history, bar = Best(copies(flow.state_dict())), History(floor=floor), Bar(len(layers), unit="layer")
    wanted = {round(len(layers) * i / max(snapshots - 1, 1)) for i in range(snapshots)}
    ends = [(x, x.new_zeros(len(x))) for x in (train, test)]  # where the points are, and the log-determinants so far

    def look(step: int) -> None:
        """The losses with the layers so far; the weights are kept if they are the best."""
        training, held = (-float((flow.base.log_prob(z) + log_det).mean()) for z, log_det in ends)
        history.losses += [training] if step else []
        history.held_out[step] = held
        best.offer(step, held, flow.state_dict())
        if step in wanted:
            history.snapshots[step] = copies(flow.state_dict())
        bar.show(step, lambda: f"loss {held:.3f}" + ("" if floor is None else f" = floor + {held - floor:.3f}"))

    with torch.no_grad():
        look(0)
        for step, layer in enumerate(layers, 1):
            layer.learn(ends[0][0], generator)
            moved = [layer.inverse(z) for z, _ in ends]
            ends = [(z, before + log_det) for (_, before), (z, log_det) in zip(ends, moved, strict=True)]
            look(step)
            if step - best.step >= patience:
                history.stopped = f"stopped after {step} of {len(layers)} layers: {patience} looks, none better"
                break
        flow.load_state_dict(best.tensors)
        history.best_step, history.seconds = best.step, time.perf_counter() - started
        bar.close()
        history.verdict = verdict.of_fit(history, points.all[0], -flow.log_prob(*points.held_out[:-1]))
    return history
