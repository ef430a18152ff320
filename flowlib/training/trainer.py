"""Training an image model: the loop behind `flowlib train`, on a CPU, on a GPU, or on many under torchrun.

    one step        the batch of step s, noise for it, the mean bits per dimension, Adam, averaged weights
    now and then    validation bits and a picture of samples, with the averaged weights; a checkpoint
    in the end      the averaged weights that were best on the validation images, and their bits on the test images

All random numbers of step s depend on the seed and on s alone (`training.seeds`), so (seed, s) is the whole state of
the generators: a run that was killed goes on, after `resume`, to the same numbers, and N processes with their shares
of a batch take the step of one with all of it.
"""

import math
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from flowlib.core import bits
from flowlib.models.checkpoint import fill, write
from flowlib.models.pretrained import DATA, all_arguments, build
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.training.evaluation import Score, one_hot_labels, picture, samples, score
from flowlib.training.loop import REPORT, learn_units, progress_bar
from flowlib.training.precision import networks_in_bfloat16
from flowlib.training.processes import ALONE, Processes
from flowlib.training.run_files import kept_tensors, restore_run, save_model, save_run
from flowlib.training.seeds import NOISE, UNITS, WEIGHTS, Batches, mixed
from flowlib.training.settings import Settings

START = 512  # images that an ActNorm learns its units from, at most
CLOCK = 10  # steps between two looks at the clock, where there is a time budget
RECENT = 100  # steps whose mean loss is printed


class Objective(nn.Module):
    """The mean bits per dimension of a share of a batch; noise is drawn for all of it, the same in every process."""

    def __init__(self, model: PixelFlow, compile: bool = False):
        super().__init__()
        self.model = model
        self.log_density = torch.compile(model.log_density) if compile else model.log_density

    def forward(self, pixels: Tensor, context: Tensor | None, share: slice) -> Tensor:
        y, log_q = self.model.dequantize.draw(pixels)
        nats = self.log_density(y[share], None if context is None else context[share])
        return bits(nats + self.model.dequantize.data_scale - log_q[share], self.model.data_shape.numel()).mean()


class Trainer:
    """One run: model, optimizer, averaged weights, and the record so far.

    Args:
        settings: what to do.
        out: the folder of the run.
        processes: who shares the work.
        resume: go on from the checkpoint in the folder.
    """

    def __init__(self, settings: Settings, out: Path, processes: Processes = ALONE, resume: bool = False):
        self.settings, self.out, self.processes, self.device = settings, out, processes, processes.device
        self.step, self.seconds, self.stopped = 0, 0.0, False
        self.losses: list[float] = []
        self.pending: list[Tensor] = []  # losses that stay on their device until many are read at once
        self.validation: list[dict[str, float]] = []
        self.data = DATA[settings.data]()
        self.classes = int(self.data.train.labels.max()) + 1 if settings.conditional else 0
        self.batches = Batches(len(self.data.train), settings.batch, settings.seed)
        self.share = processes.share(settings.batch)
        self.images, self.labels = self.data.train.images.to(self.device), self.data.train.labels.to(self.device)
        self.recipe = {
            "data": settings.data,
            "shape": list(self.data.shape),
            "levels": self.data.levels,
            "classes": self.classes,
            "model": settings.model,
            "arguments": all_arguments(settings.model, settings.arguments),
            "dequantize": settings.dequantize,
            "alpha": settings.alpha,
        }
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        torch.manual_seed(mixed(settings.seed, WEIGHTS))
        self.model = build(self.recipe, "train").to(self.device, memory_format=self.layout).train()
        auto = "bfloat16" if self.device.type == "cuda" else "float32"
        self.precision = auto if settings.precision == "auto" else settings.precision
        if self.precision == "bfloat16":
            networks_in_bfloat16(self.model)
        self.parameters = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.averaged = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.best: dict[str, Tensor] = {}  # the averaged weights that were best on validation images, once looked at
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=settings.lr, fused=True)
        if resume:
            restore_run(self)
        else:
            self.begin()
        self.objective = Objective(self.model, settings.compile)
        if processes.count > 1:
            warnings.filterwarnings("ignore", "Grad strides do not match")  # of a 1 × 1 kernel there are several
            self.objective = DistributedDataParallel(self.objective)

    def begin(self) -> None:
        """What learns its units from data looks at the first images, the same in every process."""
        torch.manual_seed(mixed(self.settings.seed, UNITS))
        learn_units(self.model, *self.batch(torch.arange(min(START, len(self.images)))))
        for name, value in self.parameters.items():
            self.averaged[name].copy_(value.detach())

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """These images and their context."""
        rows = rows.to(self.device)
        return self.images[rows].to(memory_format=self.layout), one_hot_labels(self.labels[rows], self.classes)

    def run(self) -> None:
        """Train to the end or until `stopped` is set, with validation and checkpoints on the way."""
        settings, started = self.settings, time.perf_counter() - self.seconds
        bar = progress_bar(settings.steps) if self.processes.first else None
        if bar is not None:
            bar.update(self.step)
        if self.step == 0:
            self.save()  # a folder that cannot be written to is found now, and the run can be resumed from the start
        progress = self.progress(None)
        while progress < 1.0 and not self.stopped:
            self.take_step(settings.lr * rate(progress, settings.warmup))
            self.seconds = time.perf_counter() - started
            if bar is not None and self.step % REPORT == 0:
                bar.set_description_str(f"{float(self.pending[-1]):.3f} bits per dimension", refresh=False)
                bar.update(REPORT)
            progress = self.progress(progress)
            if self.step % settings.evaluate_every == 0 or progress >= 1.0:
                self.evaluate()
            if self.step % settings.checkpoint_every == 0 or progress >= 1.0 or self.stopped:
                self.save()
        if bar is not None:
            bar.close()

    def progress(self, before: float | None) -> float:
        """How far the run is, from 0 to 1: by its steps, or by the clock where that is further."""
        steps, budget = self.settings.steps, self.settings.time_budget
        by_steps = 1.0 if self.step >= steps else (self.step + 0.5) / steps
        if budget is None:
            return by_steps
        if before is None or self.step % CLOCK == 0:
            before = self.processes.agreed(self.seconds / budget)
        return max(by_steps, before)

    def take_step(self, lr: float) -> None:
        """One step of Adam on the batch of this step, and the weights' share in their average."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(mixed(settings.seed, NOISE, self.step))
        loss = self.objective(*self.batch(self.batches.rows(self.step)), self.share)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters.values(), settings.clip, foreach=True)
        self.optimizer.step()
        kept = min(settings.ema, (1 + self.step) / (10 + self.step))  # an average of the young is young
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), list(self.parameters.values()), 1.0 - kept)
        self.pending.append(loss.detach())
        self.step += 1

    def record(self) -> None:
        """Read the losses of the last steps; FloatingPointError if a loss or a weight is not a number."""
        if self.pending:
            self.losses += (self.processes.total(torch.stack(self.pending)) / self.processes.count).tolist()
        first, self.pending = len(self.losses) - len(self.pending), []
        bad = next((step for step in range(first, self.step) if not math.isfinite(self.losses[step])), None)
        if bad is not None or not all(value.isfinite().all() for value in self.averaged.values()):
            lr, step = self.settings.lr, (self.step if bad is None else bad) + 1
            raise FloatingPointError(
                f"train: the loss is nan or infinite at step {step}. Likely cause: the steps are too long; try "
                f"--lr {lr / 3:.1g} (it was {lr:g}) or a smaller --clip. The checkpoint in {self.out} is from before."
            )

    @contextmanager
    def averaged_model(self) -> Iterator[PixelFlow]:
        """The model in eval mode with the averaged weights in place."""
        own = {name: value.detach().clone() for name, value in self.parameters.items()}
        try:
            self.put(self.averaged)
            yield self.model.eval()
        finally:
            self.put(own)
            self.model.train()

    @torch.no_grad()
    def put(self, values: dict[str, Tensor]) -> None:
        for name, value in values.items():
            self.parameters[name].copy_(value)

    def evaluate(self) -> None:
        """Validation bits and a picture of samples."""
        self.record()
        told, split, recent = self.settings, self.data.validation, self.losses[-RECENT:]
        with self.averaged_model() as model:
            args = model, split, self.classes, told.draws, told.evaluate_images, told.seed, self.processes
            result = score(*args)
            if result.bits_per_dim < min((each["bits_per_dim"] for each in self.validation), default=math.inf):
                self.best = {name: value.clone() for name, value in self.averaged.items()}
            self.validation.append({"step": self.step, **result.as_card()})
            if not self.processes.first:
                return
            print(f"step {self.step:,}: training {sum(recent) / len(recent):.4f}, validation {result}", flush=True)
            try:
                page = picture(samples(model, 100, self.classes, seed=told.seed), self.data.levels)
                write(self.out / f"samples-{self.step:06d}.png", page)
            except FloatingPointError as error:  # a young model may give points that are not numbers
                print(f"no picture: {error}", flush=True)

    def save(self) -> None:
        """A checkpoint, written by the first process; where it cannot, all end."""
        self.record()
        problem = None
        if self.processes.first:
            try:
                save_run(self)
            except OSError as error:
                problem = error
        if self.processes.agreed(problem is not None):
            raise problem or OSError(f"process {self.processes.rank} ends because the first one cannot write.")

    def finish(self) -> Score:
        """The bits on the test images, of the best model as it is stored, into its card."""
        model = build(self.recipe, "train").to(self.device).eval()
        fill(model, kept_tensors(self), str(self.out))
        told = self.settings
        result = score(model, self.data.test, self.classes, told.draws, None, told.seed, self.processes)
        if self.processes.first:
            save_model(self, result)
        return result


def train(settings: Settings, out: Path, processes: Processes = ALONE, resume: bool = False) -> Score | None:
    """Train a model to the end of its steps or of its time; its bits on the test images.

    Everything is in the folder `out` afterwards (`training.run_files`). Ctrl-C and SIGTERM end a run after the step
    that it is at, with a checkpoint; the result is then None.
    """
    if not resume and (out / "training.json").exists():
        raise FileExistsError(f"{out} holds a run already. Go on with --resume, or name another folder with --out.")
    device = processes.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        trainer = Trainer(settings, out, processes, resume)
        if processes.first:
            count = sum(value.numel() for value in trainer.parameters.values())
            shared = f" and {processes.count - 1} more" if processes.count > 1 else ""
            start = f", from step {trainer.step:,}" if resume else ""
            print(f"{trainer.data}\n{settings.model}: {count:,} parameters, on {device}{shared}{start}", flush=True)
        with stop_politely(trainer) if processes.count == 1 else nullcontext():
            trainer.run()
        return None if trainer.stopped else trainer.finish()


@contextmanager
def stop_politely(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C and SIGTERM let the step end: a checkpoint of half a step would be none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        trainer.stopped = True

    before = {sign: signal.signal(sign, stop) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)


def rate(progress: float, warmup: float) -> float:
    """The learning rate as a part of its height: a line up, then a cosine down to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup)))
