"""Training a flow: to samples by maximum likelihood (`fit`), to an energy by reverse Kullback–Leibler (`fit_energy`).

    fit          minimise  −E_{x ~ data} log q(x)             = H(data) + KL(data ‖ q)
    fit_energy   minimise   E_{x ~ q} [log q(x) + U(x)]       = KL(q ‖ p) − log Z,   p(x) = exp(−U(x)) / Z

H(data) and −log Z are the floors: no model can go below. Both keep the weights that were best on points they did not
train on, and neither changes the global random state: everything random comes from `seed`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training.batches import (
    HELD_OUT,
    HELD_OUT_SEED,
    Sampler,
    fresh,
    fresh_batches,
    mean_in_chunks,
    score_of_truth,
    shuffled,
    units_of,
)
from flowlib.training.history import History
from flowlib.training.inputs import (
    check_context,
    check_data,
    check_energy,
    check_floor,
    check_flow,
    check_fraction,
    check_numbers,
)
from flowlib.training.loop import descend, learn_units


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
        data: points (n, D), images (n, C, H, W), of which a part is held out; or a sampler such as `toy.two_moons()`: every batch is fresh.
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
        rows = check_data(data, flow)
        told = check_context(context, flow, len(rows))
        test_size = max(1, round(held_out * len(rows)))
        order = torch.randperm(len(rows), generator=generator).to(rows.device)
        test, train = order[:test_size], order[test_size:]
        test_x, test_context = rows[test], None if told is None else told[test]
        train_x, train_context = rows[train], None if told is None else told[train]
        batches = shuffled(train_x, train_context, batch, generator)
        truth = None
    else:
        test_x, test_context = fresh(data, HELD_OUT, HELD_OUT_SEED, flow), check_context(context, flow, 0)
        batches = fresh_batches(data, batch, flow, generator)
        train_x, train_context = fresh(data, units_of(flow), HELD_OUT_SEED - 1, flow), None
        entropy = getattr(data, "entropy", None) if entropy is None else entropy
        truth = score_of_truth(data, test_x)
    log_prob = torch.compile(flow.log_prob) if compile else flow.log_prob

    def loss_at(step: int) -> tuple[Tensor, Tensor]:
        loss = -log_prob(*next(batches)).mean()
        return loss, loss

    def evaluate() -> float:
        return mean_in_chunks(lambda *rows: -flow.log_prob(*rows), test_x, test_context)

    def explain() -> str:
        with torch.no_grad():
            worst = flow.log_prob(test_x, test_context)
        bad = int((~worst.isfinite()).sum())
        if bad:
            return (
                f"Likely cause: log_prob is not finite for {bad} of {len(test_x)} held-out points even with the best "
                f"weights; they lie where the flow has no density (outside the box of a uniform base?) or are very "
                f"large (the largest |x| is {test_x.abs().max():.3g}: divide by the standard deviation)."
            )
        return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

    with seeded(seed, flow):
        n = units_of(flow)
        learn_units(flow, train_x[:n], None if train_context is None else train_context[:n])
        return descend(
            flow, loss_at, evaluate, explain, name="fit", steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=entropy if truth is None else truth,
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
    with seeded(seed, flow):
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
            return mean_in_chunks(losses, noise)

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


@contextmanager
def seeded(seed: int, flow: Flow) -> Iterator[None]:
    """Random numbers by `seed` inside; the global random state afterwards as it was before."""
    device = next(flow.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
