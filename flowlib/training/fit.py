"""Training a flow: to samples by maximum likelihood (`fit`), to an energy by reverse Kullback–Leibler (`fit_energy`).

    fit          minimise  −E_{x ~ data} log q(x)             = H(data) + KL(data ‖ q)
    fit_energy   minimise   E_{x ~ q} [log q(x) + U(x)]       = KL(q ‖ p) − log Z,   p(x) = exp(−U(x)) / Z

H(data) and −log Z are the floors: no model can go below. Both keep the weights that were best on points they did not
train on, and neither changes the global random state: everything random comes from `seed`.
"""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training import loop
from flowlib.training.batches import HELD_OUT, Sampler, mean_in_chunks, of_sampler, of_tensor
from flowlib.training.history import History
from flowlib.training.inputs import check_context, check_energy, check_floor, check_flow, check_fraction, check_numbers
from flowlib.training.loop import Bar, Best, Descent, NotFinite, copies, learn_units, trained
from flowlib.training.seeds import seeded

CHECKS = 40  # at most so many looks at the held-out points in one fit ...
EVERY = 50  # ... and at least so many steps between two of them


def fit(
    flow: Flow,
    data: Tensor | Sampler,
    steps: int = 2000,
    batch: int = 512,
    lr: float = 5e-3,
    *,
    context: Tensor | None = None,
    entropy: float | None = None,
    held_out: float = 0.1,
    clip: float = 5.0,
    snapshots: int = 0,
    seed: int = 0,
    compile: bool = False,
) -> History:
    """Maximum likelihood: make the data as probable as possible.

    Adam, its step following a cosine from `lr` to 0; the flow ends in eval mode with the weights that were best on
    held-out points. The stop button of a notebook ends a fit early without losing anything.

    Args:
        flow: what is trained, in place.
        data: points (n, D) or images (n, C, H, W), of which a part is held out; or a sampler such as
            `toy.two_moons()`: every batch is fresh.
        steps, batch, lr: how many steps, points in each, and the length of the first.
        context: conditions (one-hot labels, say), one row for each row of data, (n, C), for context_dim = C.
        entropy: of the data, in nats, if known: the floor of the loss. A sampler brings its own.
        held_out: the fraction of the rows that is held out.
        clip: gradients longer than this are cut to it.
        snapshots: how many states of the flow to record for scrubbing.
        seed: of the split and the batches.
        compile: let torch compile the loss first: some ten seconds of waiting, then faster steps.

    >>> from flowlib.models import real_nvp
    >>> history = fit(real_nvp(layers=2), torch.randn(200, 2), steps=3)
    >>> len(history.losses), sorted(history.held_out)
    (3, [0, 3])
    """
    check_flow("fit", flow, context_given=context is not None)
    lr, clip = check_numbers("fit", steps, batch, lr, clip, snapshots)
    entropy, held_out = check_floor(entropy), check_fraction("fit", "held_out", held_out)
    generator = torch.Generator().manual_seed(seed)
    if isinstance(data, Tensor) or not hasattr(data, "sample"):
        points = of_tensor(flow, data, context, held_out, batch, generator)
    else:
        check_context(context, flow, 0)
        points = of_sampler(flow, data, batch, generator)
    log_prob = torch.compile(flow.log_prob) if compile else flow.log_prob

    def loss_at(step: int) -> tuple[Tensor, Tensor]:
        loss = -log_prob(*next(points.batches)).mean()
        return loss, loss

    def evaluate() -> float:
        return mean_in_chunks(lambda *rows: -flow.log_prob(*rows), points.held_out)

    def explain() -> str:
        with torch.no_grad():
            found = flow.log_prob(*points.held_out)
        bad = int((~found.isfinite()).sum())
        if bad:
            return (
                f"Likely cause: log_prob is not finite for {bad} of {len(found)} held-out points even with the best "
                f"weights; they lie where the flow has no density (outside the box of a uniform base?) or are very "
                f"large (the largest |x| is {points.held_out[0].abs().max():.3g}: divide by the standard deviation)."
            )
        return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

    with seeded(seed, next(flow.parameters()).device):
        learn_units(flow, *points.first)
        return descend(
            flow, loss_at, evaluate, explain, name="fit", steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=points.floor if entropy is None else entropy,
        )  # fmt: skip


def fit_energy(
    flow: Flow,
    energy: Callable[[Tensor], Tensor],
    steps: int = 2000,
    batch: int = 512,
    lr: float = 5e-3,
    *,
    anneal: bool = True,
    clip: float = 5.0,
    snapshots: int = 0,
    seed: int = 0,
) -> History:
    """Reverse Kullback–Leibler: make the flow's own samples probable under p(x) ∝ exp(−U(x)), and spread them out.

    No data is needed, only U and its gradient. The flow must be cheap to sample: `planar_flow`, `real_nvp`, `iaf`.

    Args:
        flow: what is trained, in place.
        energy: U, x (n, D) -> (n,), made of torch operations. Its `log_z`, where known, gives the floor −log Z.
        steps, batch, lr, clip, snapshots, seed: as in `fit`. Planar flows, with few parameters, bear lr = 0.02 to 0.05.
        anneal: weigh U with β = 0.01 at the start, growing to 1 by the middle of the fit, so that samples see all modes
            before they settle (Rezende and Mohamed 2015, section 6.1). Recorded losses are those of β = 1.

    >>> from flowlib.models import planar_flow
    >>> history = fit_energy(planar_flow(layers=2), lambda x: 0.5 * (x - 1).square().sum(-1), steps=3)
    >>> len(history.losses)
    3
    """
    check_flow("fit_energy", flow, context_given=False)
    lr, clip = check_numbers("fit_energy", steps, batch, lr, clip, snapshots)
    log_z = getattr(energy, "log_z", None)
    with seeded(seed, next(flow.parameters()).device):
        check_energy(energy, flow)
        noise = flow.base.sample(HELD_OUT)

        def loss_at(step: int) -> tuple[Tensor, Tensor]:
            beta = min(1.0, 0.01 + 2.0 * step / steps) if anneal else 1.0
            x, log_q = flow.sample_with_log_prob(batch)
            log_q, u = log_q.mean(), energy(x).mean()
            return log_q + beta * u, log_q + u

        def losses(z: Tensor) -> Tensor:
            x, log_det = flow.transform(z)
            return flow.base.log_prob(z) - log_det + energy(x)

        def evaluate() -> float:
            return mean_in_chunks(losses, (noise,))

        def explain() -> str:
            x, _ = flow.transform(noise)
            bad = int((~energy(x).isfinite()).sum())
            if bad:
                return f"Likely cause: the energy is nan or infinite at {bad} of {len(x)} samples of the best flow."
            return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

        return descend(
            flow, loss_at, evaluate, explain, name="fit_energy", steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=None if log_z is None else -float(log_z),
        )  # fmt: skip


def descend(
    flow: Flow,
    loss_at: Callable[[int], tuple[Tensor, Tensor]],
    evaluate: Callable[[], float],
    explain: Callable[[], str],
    *,
    name: str,
    steps: int,
    lr: float,
    clip: float,
    snapshots: int,
    floor: float | None,
) -> History:
    """Take the steps and leave the best weights in the flow, in eval mode, whatever happens on the way.

    There are four ends: the steps are done; somebody presses stop (KeyboardInterrupt), and the fit returns as usual and
    says so; the loss becomes nan, and a FloatingPointError names the step and the likely cause; anything else goes
    wrong, and that error passes through.

    Args:
        flow: what is trained.
        loss_at: step -> the loss to descend and the loss to record, both ().
        evaluate: the loss on held-out points.
        explain: called with the best weights in place after the loss became nan: the likely cause in words.
        name: who speaks in messages, "fit" or "fit_energy".
        steps, lr: how many steps, and the length of the first one; the last one has almost length zero.
        clip: gradients longer than this are cut to it.
        snapshots: how many states to record, closer together at the start.
        floor: the least possible loss, for the progress bar and the history.
    """
    descent, best = Descent(trained(flow), clip), Best(copies(flow.state_dict()))
    history = History(descent.losses, floor=floor)
    wanted = {round(steps * (i / max(snapshots - 1, 1)) ** 2) for i in range(snapshots)}
    every, bar, started = max(EVERY, steps // CHECKS), Bar(steps), time.perf_counter()

    def take_step(lr: float) -> None:
        descent.take_step(lr, *loss_at(descent.step))

    def look() -> None:
        """Read the losses, look at the held-out points, keep the weights if they are the best."""
        descent.read()
        flow.eval()
        with torch.no_grad():
            loss = evaluate()
        flow.train()
        if math.isnan(loss):
            raise NotFinite(descent.step + 1)
        history.held_out[descent.step] = loss
        best.offer(descent.step, loss, flow.state_dict())
        descent.norms.clear()

    def record() -> None:
        if descent.step in wanted:
            history.snapshots[descent.step] = copies(flow.state_dict())

    def words() -> str:
        loss = descent.pending[-1].item() if descent.pending else descent.losses[-1]
        return f"loss {loss:.3f}" + ("" if floor is None else f" = floor + {loss - floor:.3f}")

    def after(done: bool, stop: bool) -> None:
        record()
        if descent.step % every == 0 or done:
            look()
        bar.show(descent.step, words)

    try:
        look()
        record()
        try:
            loop.run(take_step, lambda: descent.step / steps, after, lr=lr)
        except KeyboardInterrupt:
            look()
            history.stopped = f"stopped by hand after {descent.step} of {steps} steps"
    except NotFinite as error:
        flow.load_state_dict(best.tensors)
        flow.eval()
        raise FloatingPointError(
            f"{name}: the loss is nan or infinite at step {error.step}.{descent.longest_gradient()} {explain()} "
            f"The flow holds its best weights again, those of step {best.step}."
        ) from None
    finally:
        flow.load_state_dict(best.tensors)
        flow.eval()
        history.best_step, history.seconds = best.step, time.perf_counter() - started
        bar.close()
    return history
