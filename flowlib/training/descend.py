"""One fit from its first step to its last: the looks at held-out points, the best weights, and however it ends."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from flowlib.core import Flow
from flowlib.training import loop
from flowlib.training.history import History
from flowlib.training.interrupted import Kept
from flowlib.training.loop import REPORT, Bar, Best, Descent, NotFinite, copies, stopped_again, trained

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
    patience: int | None = None,
    callback: Callable[[int, History], object] | None = None,
    kept: Kept | None = None,
    skip: Callable[[int], None] = lambda steps: None,
) -> History:
    """Take the steps and leave the best weights in the flow, in eval mode, whatever happens on the way.

    There are five ends: the steps are done; patience is at an end; somebody presses stop (KeyboardInterrupt), and the
    fit returns as usual and says so, unless it is the second stop in one cell, which passes through; the loss becomes
    nan, and a FloatingPointError names the step and the likely cause; anything else goes wrong, and that error passes
    through.

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
        patience: so many looks at the held-out points without a better one are the end; None: none are.
        callback: called with step and history after each look.
        kept: where the state is written at each look, and read at the start if there is one.
        skip: called with the number of steps that were taken before an interruption: their batches are drawn again.
    """
    descent, best = Descent(trained(flow), clip), Best(copies(flow.state_dict()))
    history = History(descent.losses, floor=floor)
    wanted = loop.recorded(steps, snapshots)
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
        history.best_step = best.step
        descent.norms.clear()
        if callback is not None:
            callback(descent.step, history)

    def tired() -> bool:
        return patience is not None and sum(step > best.step for step in history.held_out) >= patience

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
            if kept is not None:
                kept.write(flow, descent, best, history)
        if descent.step % REPORT == 0 or done:
            bar.show(descent.step, words)

    try:
        if kept is None or not kept.restore(flow, descent, best, history, skip):
            look()
            record()
        try:
            loop.run(take_step, lambda: descent.step / steps, after, lr=lr, stopped=tired)
            if descent.step < steps:
                descent.read()
                history.stopped = f"stopped after {descent.step} of {steps} steps: {patience} looks, none better"
        except KeyboardInterrupt:
            history.stopped = f"stopped by hand after {descent.step} of {steps} steps"
            bar.stay(history.stopped, descent.step)
            look()
            if stopped_again():
                raise
    except NotFinite as error:
        bar.stay(f"nan or infinite at step {error.step}", error.step)
        flow.load_state_dict(best.tensors)
        flow.eval()
        raise FloatingPointError(
            f"{name}: the loss is nan or infinite at step {error.step}.{descent.longest_gradient()} {explain()} "
            f"The flow holds its best weights again, those of step {best.step}."
        ) from None
    finally:
        flow.load_state_dict(best.tensors)
        flow.eval()
        history.seconds = time.perf_counter() - started
        bar.close()
    return history
