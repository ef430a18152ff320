"""The loop behind every training: Adam down a loss, its schedule, the best weights, the stop, the bar.

`fit`, `fit_energy` and the image trainer are programs on what stands here. A loss that is not a number is found when
losses are read, and `NotFinite` then carries its step; what to say about it, the programs know.
"""

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from flowlib.support.session import shell, watched

REPORT = 20  # steps between two reports of the progress bar
MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what Adam knows of a parameter


def run(
    take_step: Callable[[float], None],
    progress: Callable[[], float],
    after: Callable[[bool, bool], None],
    *,
    lr: float,
    warmup: float = 0.0,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Step after step until the progress is 1, or until somebody stops it.

    Args:
        take_step: lr -> nothing; one step of that length.
        progress: how far the training is, from 0 to 1; asked once before the first step and once after each.
        after: (done, stop) -> nothing; called after each step, for looks at held-out points, checkpoints, bars.
        lr: the learning rate at its height.
        warmup: the fraction of the progress in which it grows.
        stopped: whether somebody wants the training to end after this step.
    """
    at, stop = progress(), stopped()
    while at < 1.0 and not stop:
        take_step(lr * rate(at, warmup))
        at, stop = progress(), stopped()
        after(at >= 1.0, stop)


def rate(progress: float, warmup: float) -> float:
    """The learning rate as a part of its height: a line up, then a cosine down to zero.

    Paper: Loshchilov and Hutter (2017), SGDR, section 3, arXiv 1608.03983; Goyal et al. (2017), arXiv 1706.02677.
    """
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))


def recorded(steps: int, snapshots: int) -> set[int]:
    """After which steps a state is recorded, closer together at the start: so many of them from 0 to the last."""
    return {round(steps * (i / max(snapshots - 1, 1)) ** 2) for i in range(snapshots)}


class NotFinite(Exception):
    """The loss is nan or infinite at this step, counted from 1."""

    def __init__(self, step: int):
        self.step = step


class Descent:
    """Adam, and the losses so far. They stay on their device until `read` takes many at once.

    Args:
        parameters: what is trained, by name.
        clip: gradients longer than this are cut to it.
        total: what makes the losses of all processes of those of this one.
        betas: how much Adam keeps of its mean gradient and of its mean square at each step.

    Paper: Kingma and Ba (2015), Adam, arXiv 1412.6980.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        clip: float,
        total: Callable[[Tensor], Tensor] = lambda losses: losses,
        betas: tuple[float, float] = (0.9, 0.999),
    ):
        self.named, self.clip, self.total = dict(parameters), clip, total
        self.parameters = list(parameters.values())
        with undisturbed():
            import torch._dynamo
        fused = self.parameters[0].device.type in ("cpu", "cuda")
        self.optimizer = torch.optim.Adam(self.parameters, betas=betas, fused=fused)
        self.step = 0
        self.losses: list[float] = []
        self.pending: list[Tensor] = []
        self.norms: list[Tensor] = []

    def take_step(self, lr: float, loss: Tensor, shown: Tensor | None = None) -> None:
        """One step of length lr down the loss (), and a note of it, or of `shown`, without waiting for its number."""
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip, foreach=True)
        self.optimizer.step()
        self.pending.append((loss if shown is None else shown).detach())
        self.norms.append(norm)
        self.step += 1

    def read(self) -> None:
        """The losses since the last time become numbers. NotFinite: one of them is not finite."""
        new = self.total(torch.stack(self.pending)).tolist() if self.pending else []
        self.pending = []
        first = len(self.losses)
        self.losses += new
        for step, loss in enumerate(new, first + 1):
            if not math.isfinite(loss):
                raise NotFinite(step)

    def moments(self) -> dict[str, dict[str, Tensor]]:
        """What Adam knows, moment -> parameter -> tensor; empty before the first step."""
        adam = self.optimizer.state
        known = {name: adam[value] for name, value in self.named.items() if value in adam}
        return {moment: {name: each[moment] for name, each in known.items()} for moment in MOMENTS}

    def restore(self, losses: list[float], moments: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Go on after these losses, with these moments. KeyError: one is missing."""
        for name in moments["exp_avg"]:
            value = self.named[name]
            adam = self.optimizer.state[value] = {"step": moments["step"][name].to(value.device)}
            for moment in ("exp_avg", "exp_avg_sq"):  # laid out as weights
                adam[moment] = torch.empty_like(value, requires_grad=False).copy_(moments[moment][name])
        self.step, self.losses[:] = len(losses), losses

    def longest_gradient(self) -> str:
        """The longest finite gradient since `norms` was emptied, in words; it often tells where a nan comes from."""
        lengths = [norm for norm in torch.stack(self.norms).tolist() if math.isfinite(norm)] if self.norms else []
        return f" The longest gradient shortly before: {max(lengths):.1g}." if lengths else ""


@dataclass
class Best:
    """The tensors with the least loss so far, and the step they are of."""

    tensors: dict[str, Tensor]
    loss: float = math.inf
    step: int = 0

    def offer(self, step: int, loss: float, tensors: Mapping[str, Tensor]) -> None:
        """Keep a copy of these if they are better."""
        if loss < self.loss:
            self.step, self.loss, self.tensors = step, loss, copies(tensors)


def trained(model: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters of a model that are trained, by name."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def learn_units(model: nn.Module, x: Tensor, context: Tensor | None = None) -> None:
    """Let layers such as `ActNorm`, whose units are those of the data, see the first rows, before any step."""
    model.train()
    with torch.enable_grad():
        model.log_prob(x, context)


def stopped_again() -> bool:
    """Whether somebody has pressed stop before in the same cell of a notebook, or in the same program: then it is meant
    for all that stands there, not for one fit of several."""
    cell = getattr(shell(), "execution_count", None)
    again, STOPPED[:] = [cell] == STOPPED, [cell]
    return again


STOPPED: list[int | None] = []  # the cell in which stop was pressed last


@contextmanager
def undisturbed() -> Iterator[None]:
    """A stop waits until this is done: what is half imported can never be imported again."""
    with polite_stop() as asked:
        yield
    if asked():
        raise KeyboardInterrupt


@contextmanager
def polite_stop(words: str = "", patient: bool = False) -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come: they let the step end, because a checkpoint of half a step would be none. The
    second time nobody waits, unless they are patient. The words, if there are any, tell so in a terminal."""
    asked = threading.Event()
    main = threading.current_thread() is threading.main_thread()  # no other can hear signals
    signs = (signal.SIGINT, signal.SIGTERM) if main else ()

    def hear(*_: object) -> None:
        if asked.is_set():
            if patient:
                return
            raise KeyboardInterrupt
        asked.set()
        os.write(2, words.encode())  # print would fail if it is what was interrupted

    before = {sign: signal.signal(sign, hear) for sign in signs}
    try:
        yield asked.is_set
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


class Bar:
    """A tqdm bar if somebody is looking, else nothing: a stored notebook or a log file must not hold one."""

    def __init__(self, total: int, at: int = 0, unit: str = "step"):
        self.bar = None
        if watched():
            from tqdm.auto import tqdm

            shape = f"{{desc}} {{percentage:3.0f}}% |{{bar}}| {unit} {{n}} of {{total}}, {{remaining}} left"
            self.bar = tqdm(total=total, leave=False, bar_format=shape, initial=at)

    def show(self, at: int, words: Callable[[], str]) -> None:
        """So much is done. The words are only asked for if somebody looks; they may have to wait for a GPU."""
        if self.bar is not None:
            self.bar.set_description_str(words(), refresh=False)
            self.bar.update(at - self.bar.n)

    def stay(self, words: str, step: int) -> None:
        """The bar stands still at this step and says why, also when it is closed."""
        if self.bar is not None:
            self.bar.leave = True
            self.bar.set_description_str(words, refresh=False)
            self.bar.update(step - self.bar.n)

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
