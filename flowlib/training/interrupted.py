"""A fit that goes on where it was interrupted: at each look at the held-out points its state is written to a folder.

    fit.json, fit-….safetensors    flow, best weights, snapshots, what Adam knows, the random state, the losses

The same call reads it and goes on, to the numbers that it would have come to without the interruption.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.models.checkpoint import fill, read, save
from flowlib.training.history import History
from flowlib.training.loop import MOMENTS, Best, Descent

NAME = "fit"


class Kept:
    """The state of a fit in a folder.

    Args:
        folder: where it is, or will be.
        settings: what the fit was called with, numbers and words; another fit is refused.
    """

    def __init__(self, folder: str | Path, settings: Mapping[str, Any]):
        self.folder, self.settings = Path(folder), dict(settings)

    def write(self, flow: Flow, descent: Descent, best: Best, history: History) -> None:
        """Write the state after a whole step, in place of an earlier one."""
        parts = {"flow": flow.state_dict(), "best": best.tensors, **descent.moments()}
        parts |= {f"snapshot {step}": tensors for step, tensors in history.snapshots.items()}
        tensors = {f"{part}/{name}": value for part, values in parts.items() for name, value in values.items()}
        tensors["random"] = torch.get_rng_state()
        tensors["losses"] = torch.tensor(descent.losses, dtype=torch.float64)
        card = {"settings": self.settings, "best_step": best.step, "held_out": list(history.held_out.items())}
        save(self.folder, NAME, tensors, card)

    def restore(self, flow: Flow, descent: Descent, best: Best, history: History, skip: Callable[[int], None]) -> bool:
        """Put the stored state in place, if there is one, the random state last: after `skip`, which is called with the
        number of steps that were taken, because what it draws again has been drawn before."""
        if not (self.folder / f"{NAME}.json").exists():
            return False
        card, tensors = read(self.folder, NAME)
        stored = card.get("settings", {})
        differences = [
            f"{name} = {stored.get(name)}, not {own}" for name, own in self.settings.items() if stored.get(name) != own
        ]
        if differences:
            raise ValueError(
                f"{self.folder} holds another fit: {'; '.join(differences)}. Give the same data and arguments, or "
                "another folder."
            )
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            part, _, rest = name.partition("/")
            parts.setdefault(part, {})[rest] = value
        try:
            fill(flow, parts["flow"], str(self.folder))
        except ValueError as error:
            raise ValueError(
                f"{self.folder} holds the fit of another flow. Give the same flow, or another folder. ({error})"
            ) from None
        descent.restore(parts["losses"][""].tolist(), {moment: parts.get(moment, {}) for moment in MOMENTS})
        history.held_out.update((step, loss) for step, loss in card["held_out"])
        recorded = sorted(int(part.split()[1]) for part in parts if part.startswith("snapshot"))
        history.snapshots.update((step, parts[f"snapshot {step}"]) for step in recorded)
        best.tensors, best.step, best.loss = parts["best"], card["best_step"], history.held_out[card["best_step"]]
        history.best_step = best.step
        skip(descent.step)
        torch.set_rng_state(parts["random"][""])
        return True


def fingerprint(*tensors: Tensor) -> str:
    """A short word that is another one for other numbers."""
    content = hashlib.sha256()
    for tensor in tensors:
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()[:12]
