"""What a fit leaves behind: its losses, when it was best, and the weights on the way."""

from dataclasses import dataclass, field

from torch import Tensor

BOUNDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)  # nats above the floor, as printed


@dataclass(repr=False)
class History:
    """The record of `fit`, `fit_energy`, `fit_matching` or `fit_gan`; `flowlib.viz.losses` draws it.

    Args:
        losses: the training loss of every step, in nats (`fit_matching`: squared distances of velocities).
        held_out: step -> loss on points that are never trained on (`fit_energy`: on one fixed batch of noise).
        floor: the loss that no model can beat: the entropy of the data (`fit_energy`: −log Z), or None where unknown.
            Where the true density is known, it is the truth's own score on the held-out points, so that the luck of
            those points cancels in `gap`.
        snapshots: step -> state_dict of the flow, for scrubbing: `flow.load_state_dict(history.snapshots[step])`.
        nats: −log p on the held-out points at the end, in nats, where the loss is something else (`fit_matching`).
        best_step: the step whose weights the flow holds now.
        critic: the losses of the critic (`fit_gan`, whose `losses` are the generator's).
        stopped: why the fit ended early, or "".
        verdict: what is the matter with the data or with the result, or "" (`training.verdict`).
        seconds: how long it took; never printed, because it differs from machine to machine.
    """

    losses: list[float] = field(default_factory=list)
    held_out: dict[int, float] = field(default_factory=dict)
    floor: float | None = None
    snapshots: dict[int, dict[str, Tensor]] = field(default_factory=dict)
    nats: float | None = None
    best_step: int = 0
    critic: list[float] = field(default_factory=list)
    stopped: str = ""
    verdict: str = ""
    seconds: float = 0.0

    @property
    def best(self) -> float:
        """The held-out loss of the weights that were kept."""
        return self.held_out[self.best_step]

    @property
    def gap(self) -> float | None:
        """How far the best loss is above the floor, in nats: an estimate of the Kullback–Leibler divergence."""
        return None if self.floor is None else self.best - self.floor

    def __repr__(self) -> str:
        """Coarse on purpose: the last digits of a fit differ from machine to machine."""
        steps = len(self.losses)
        end = self.stopped or f"{steps} step{'s' * (steps != 1)}"
        verdict = f"\nVerdict: {self.verdict}" if self.verdict else ""
        if self.critic:
            return f"History: {end} of a game, whose losses say nothing of the samples{verdict}"
        if self.nats is not None:
            return f"History: {end}, {self.nats:.1f} nats on held-out points{verdict}"
        if self.gap is None:
            return f"History: {end}, held-out loss {self.best:.1f} nats{verdict}"
        bound = next((bound for bound in BOUNDS if self.gap < bound), None)
        where = f"less than {bound}" if bound else f"more than {BOUNDS[-1]}"
        return f"History: {end}, {where} nats above the floor{verdict}"
