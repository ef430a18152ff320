"""The loop behind every fit: Adam down a loss, the best weights kept, whatever happens on the way.

A fit ends in one of four ways, and in each the flow holds the weights that were best on held-out points: its steps are
done; somebody presses stop (KeyboardInterrupt), and it returns as usual and says so; the loss becomes nan, and a
FloatingPointError names the step and the likely cause; anything else goes wrong, and that error passes through.
"""

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from flowlib.core import Flow
from flowlib.training.history import History

REPORT = 20  # steps between two reports of the progress bar
CHECKS = 40  # at most so many looks at the held-out points in one fit ...
EVERY = 50  # ... and at least so many steps between two of them


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
    """Take `steps` steps of Adam with a cosine schedule and leave the best weights in the flow.

    Args:
        flow: what is trained; it ends in eval mode.
        loss_at: step -> the loss to descend and the loss to record, both ().
        evaluate: the loss on held-out points.
        explain: called with the best weights in place after the loss became nan: the likely cause in words.
        name: who speaks in messages, "fit" or "fit_energy".
        steps, lr: how many steps, and the length of the first one; the last one has length zero.
        clip: gradients longer than this are cut to it.
        snapshots: how many states to record, closer together at the start.
        floor: the least possible loss, for the progress bar and the history.
    """
    parameters = [parameter for parameter in flow.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=lr, fused=parameters[0].device.type in ("cpu", "cuda"))
    wanted = {round(steps * (i / max(snapshots - 1, 1)) ** 2) for i in range(snapshots)}
    every, bar, started = max(EVERY, steps // CHECKS), progress_bar(steps), time.perf_counter()
    keeper = Keeper(flow, evaluate, History(floor=floor))
    try:
        keeper.check()
        with suppress_stop(keeper, steps):
            for step in range(steps):
                if step in wanted:
                    keeper.history.snapshots[step] = copy_state(flow)
                optimizer.param_groups[0]["lr"] = 0.5 * lr * (1.0 + math.cos(math.pi * step / steps))
                loss, shown = loss_at(step)
                optimizer.zero_grad()
                loss.backward()
                norm = torch.nn.utils.clip_grad_norm_(parameters, clip, foreach=True)
                optimizer.step()
                keeper.note(shown, norm)
                if (step + 1) % every == 0 or step + 1 == steps:
                    keeper.check()
                if bar is not None and ((step + 1) % REPORT == 0 or step + 1 == steps):
                    report(bar, step + 1, shown.item(), floor)
        if steps in wanted:
            keeper.history.snapshots[steps] = copy_state(flow)
    except NotFinite as error:
        keeper.restore()
        raise FloatingPointError(
            f"{name}: the loss is nan or infinite at step {error.step}.{keeper.longest_gradient()} {explain()} "
            f"The flow holds its best weights again, those of step {keeper.history.best_step}."
        ) from None
    finally:
        keeper.restore()
        keeper.history.seconds = time.perf_counter() - started
        if bar is not None:
            bar.close()
    return keeper.history


def learn_units(model: nn.Module, *first: Tensor | None) -> None:
    """Let layers such as `ActNorm`, whose units are those of the data, see the first rows, before any step."""
    model.train()
    with torch.enable_grad():
        model.log_prob(*first)


class NotFinite(Exception):
    """The loss is nan or infinite at this step, counted from 1."""

    def __init__(self, step: int):
        self.step = step


class Keeper:
    """Writes the history and keeps the best weights. Losses stay on their device until a check reads many at once."""

    def __init__(self, flow: Flow, evaluate: Callable[[], float], history: History):
        self.flow, self.evaluate, self.history = flow, evaluate, history
        self.best, self.best_loss = copy_state(flow), math.inf
        self.losses: list[Tensor] = []
        self.norms: list[Tensor] = []

    def note(self, loss: Tensor, norm: Tensor) -> None:
        """Remember one step, without waiting for its numbers."""
        self.losses.append(loss.detach())
        self.norms.append(norm)

    def check(self) -> None:
        """Read the losses since the last check, look at the held-out points, keep the weights if they are the best."""
        history = self.history
        new = torch.stack(self.losses).tolist() if self.losses else []
        self.losses = []
        first = len(history.losses)
        history.losses += new
        for step, loss in enumerate(new, first + 1):
            if not math.isfinite(loss):
                raise NotFinite(step)
        self.flow.eval()
        with torch.no_grad():
            loss = self.evaluate()
        self.flow.train()
        step = len(history.losses)
        if math.isnan(loss):
            raise NotFinite(step + 1)
        history.held_out[step] = loss
        if loss < self.best_loss:
            history.best_step, self.best_loss = step, loss
            copy_state(self.flow, self.best)
        self.norms = []

    def restore(self) -> None:
        """The best weights into the flow, in eval mode."""
        self.flow.load_state_dict(self.best)
        self.flow.eval()

    def longest_gradient(self) -> str:
        """The longest finite gradient since the last check, in words; it often tells where a nan comes from."""
        lengths = [norm for norm in torch.stack(self.norms).tolist() if math.isfinite(norm)] if self.norms else []
        return f" The longest gradient shortly before: {max(lengths):.1g}." if lengths else ""


@contextmanager
def suppress_stop(keeper: Keeper, steps: int) -> Iterator[None]:
    """Turn the stop button (KeyboardInterrupt) into an early end, with a last look at the held-out points."""
    try:
        yield
    except KeyboardInterrupt:
        keeper.check()
        keeper.history.stopped = f"stopped by hand after {len(keeper.history.losses)} of {steps} steps"


def copy_state(flow: Flow, into: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """A copy of the weights and buffers; `into` an earlier copy, if given."""
    state = flow.state_dict()
    if into is None:
        return {name: value.clone() for name, value in state.items()}
    for name, value in state.items():
        into[name].copy_(value)
    return into


def progress_bar(steps: int):
    """A tqdm bar if somebody is looking, else None: a stored notebook or a log file must not hold one."""
    if not watched():
        return None
    from tqdm.auto import tqdm

    shape = "{desc} {percentage:3.0f}% |{bar}| step {n} of {total}, {remaining} left"
    return tqdm(total=steps, leave=False, bar_format=shape)


def watched() -> bool:
    """True on a terminal and on a live page, which, unlike nbclient and nbval, could answer an `input()`."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    return sys.stderr.isatty() if kernel is None else bool(getattr(kernel, "_allow_stdin", False))


def report(bar, done: int, loss: float, floor: float | None) -> None:
    above = "" if floor is None else f" = floor + {loss - floor:.3f}"
    bar.set_description_str(f"loss {loss:.3f}{above}", refresh=False)
    bar.update(done - bar.n)
