"""Training a flow to an energy by reverse Kullback–Leibler, where no data are known.

    minimise   E_{x ~ q} [log q(x) + U(x)]  =  KL(q ‖ p) − log Z,   p(x) = exp(−U(x)) / Z

−log Z is the floor: no flow can go below. The weights are kept that were best on one fixed batch of noise, and the
global random state stays as it is: everything random comes from `seed`.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training import verdict
from flowlib.training.batches import HELD_OUT, mean_in_chunks
from flowlib.training.descend import descend
from flowlib.training.history import History
from flowlib.training.inputs import check_context, check_energy, check_flow, check_numbers
from flowlib.training.interrupted import Kept, fingerprint
from flowlib.training.seeds import seeded


def fit_energy(
    flow: Flow,
    energy: Callable[..., Tensor],
    steps: int = 2000,
    batch: int = 512,
    lr: float = 5e-3,
    *,
    context: Tensor | None = None,
    anneal: bool = True,
    clip: float = 5.0,
    snapshots: int = 0,
    seed: int = 0,
    checkpoint: str | Path | None = None,
) -> History:
    """Reverse Kullback–Leibler: make the flow's own samples probable under p(x) ∝ exp(−U(x)), and spread them out.

    No data is needed, only U and its gradient. The flow must be cheap to sample: `planar_flow`, `real_nvp`, `iaf`.

    Args:
        flow: what is trained, in place.
        energy: U, x (n, D) -> (n,), made of torch operations. Its `log_z`, where known, gives the floor −log Z.
        context: rows of conditions (m, C) of a conditional flow: each batch draws some of them, and the energy is asked
            with them, U(x, c).
        steps, batch, lr, clip, snapshots, seed, checkpoint: as in `fit`. Planar flows, with few parameters, bear
            lr = 0.02 to 0.05.
        anneal: weigh U with β = 0.01 at the start, growing to 1 by the middle of the fit, so that samples see all modes
            before they settle (Rezende and Mohamed 2015, section 6.1). Recorded losses are those of β = 1.

    >>> from flowlib.models import planar_flow
    >>> history = fit_energy(planar_flow(layers=2), lambda x: 0.5 * (x - 1).square().sum(-1), steps=3)
    >>> len(history.losses)
    3
    """
    check_flow("fit_energy", flow, context_given=context is not None)
    lr, clip = check_numbers("fit_energy", steps, batch, lr, clip, snapshots)
    log_z = getattr(energy, "log_z", None)
    with seeded(seed, next(flow.parameters()).device):
        contexts = () if context is None else (check_context(context, flow, len(context)),)
        check_energy(energy, flow, *contexts)
        noise = flow.base.sample(HELD_OUT)
        fixed = tuple(rows[torch.arange(HELD_OUT, device=rows.device) % len(rows)] for rows in contexts)

        settings = {"steps": steps, "batch": batch, "lr": lr, "clip": clip, "snapshots": snapshots, "seed": seed}
        settings |= {"anneal": anneal, "context": fingerprint(*contexts)}
        kept = None if checkpoint is None else Kept(checkpoint, settings)

        def loss_at(step: int) -> tuple[Tensor, Tensor]:
            beta = min(1.0, 0.01 + 2.0 * step / steps) if anneal else 1.0
            given = tuple(rows[torch.randint(len(rows), (batch,), device=rows.device)] for rows in contexts)
            x, log_q = flow.sample_with_log_prob(batch, *given)
            log_q, u = log_q.mean(), energy(x, *given).mean()
            return log_q + beta * u, log_q + u

        def losses(z: Tensor, *given: Tensor) -> Tensor:
            x, log_det = flow.transform(z, *given)
            return flow.base.log_prob(z) - log_det + energy(x, *given)

        def evaluate() -> float:
            return mean_in_chunks(losses, (noise, *fixed))

        def explain() -> str:
            x, _ = flow.transform(noise, *fixed)
            bad = int((~energy(x, *fixed).isfinite()).sum())
            if bad:
                return f"Likely cause: the energy is nan or infinite at {bad} of {len(x)} samples of the best flow."
            return f"Likely cause: the steps are too long; try lr={lr / 10:g} (it was {lr:g}) or a smaller clip."

        history = descend(
            flow, loss_at, evaluate, explain, name="fit_energy", steps=steps, lr=lr, clip=clip, snapshots=snapshots,
            floor=None if log_z is None else -float(log_z), kept=kept,
        )  # fmt: skip
        with torch.no_grad():
            nats, x = losses(noise, *fixed), flow.transform(noise, *fixed)[0]
            history.verdict = verdict.of_energy(history, nats, x, lambda x: energy(x, *fixed))
    return history
