"""Training an image model: the loop behind `flowlib train`, on a CPU, on a GPU, or on many under torchrun.

    one step        the batch of step s, noise for it, the mean bits per dimension, Adam, averaged weights
    now and then    validation bits and a picture of samples, with the averaged weights; a checkpoint
    in the end      the averaged weights that were best on the validation images, and their bits on the test images

All random numbers of step s depend on the seed and on s alone (`training.seeds`), so (seed, s) is the whole state of
the generators: a run that was killed goes on, after `resume`, to the same numbers, and N processes with their shares
of a batch take the step of one with all of it.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from flowlib.core import bits
from flowlib.datasets.images import ImageSet, Split
from flowlib.models.checkpoint import Card, fill, write
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.training import loop
from flowlib.training.evaluation import Score, classes_of, one_hot_labels, samples, score
from flowlib.training.loop import Bar, Best, Descent, NotFinite, copies, learn_units, polite_stop, trained
from flowlib.training.pace import Pace
from flowlib.training.precision import networks_in_bfloat16, networks_precision
from flowlib.training.processes import ALONE, Processes
from flowlib.training.run_files import (
    State,
    alone,
    read_log,
    read_state,
    save_log,
    save_losses,
    save_model,
    save_state,
    stored,
)
from flowlib.training.seeds import NOISE, UNITS, Batches, mixed, seeded
from flowlib.training.settings import Settings

START = 512  # images that an ActNorm learns its units from, at most
CLOCK = 10  # steps between two looks at the clock, where there is a time budget, and at what the other processes heard
MOST = 1e-3  # a learning rate that is advised, at most
RECENT = 100  # steps whose mean loss is printed
STOPPING = "\nstopping after this step and its checkpoint; once more stops at once\n"
STOPPING_ALL = "\nall processes stop within ten steps, after a checkpoint\n"


@dataclass(frozen=True)
class Pictures:
    """Who draws, each as the bytes of a PNG.

    Args:
        sheet: of images (n, C, H, W) and their number of grey values.
        curve: of the training losses of every step, and of the looks at validation images (`read_log`).
    """

    sheet: Callable[[Tensor, int], bytes]
    curve: Callable[[list[float], list[dict[str, float]]], bytes]


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
        data: the images.
        model: what is trained, in place; its `card` says how it was built.
        out: the folder of the run.
        pictures: draws samples and the curve; nobody does without.
        processes: who shares the work.
        resume: go on from the checkpoint in the folder.
    """

    def __init__(
        self, settings: Settings, data: ImageSet, model: PixelFlow, out: Path, pictures: Pictures | None = None,
        processes: Processes = ALONE, resume: bool = False,
    ):  # fmt: skip
        self.settings, self.data, self.out, self.pictures = settings, data, out, pictures
        self.processes, self.device = processes, processes.device
        self.seconds, self.stopped = 0.0, False
        self.by_clock: float | None = None  # the progress at the last look at the clock
        self.validation: list[dict[str, float]] = []
        self.log: list[dict[str, float]] = []  # what log.csv has
        self.listed = 0  # how many losses this process has written into losses.csv
        self.rate = 0.0
        self.classes = classes_of(data) if settings.conditional else 0
        self.batches = Batches(len(data.train), settings.batch, settings.seed)
        self.share = processes.share(settings.batch)
        self.images, self.labels = data.train.images.to(self.device), data.train.labels.to(self.device)
        self.layout = torch.channels_last if settings.channels_last else torch.contiguous_format
        self.model = model.to(self.device, memory_format=self.layout).train()
        self.precision = networks_precision(settings.precision, self.device)
        if self.precision == "bfloat16":
            networks_in_bfloat16(self.model)
        self.parameters = trained(self.model)
        self.descent = Descent(self.parameters, settings.clip, lambda losses: processes.total(losses) / processes.count)
        self.best = Best({})  # the averaged weights that were best on validation images, once looked at
        if resume:
            self.restore(read_state(out, settings))
        else:
            with seeded(mixed(settings.seed, UNITS), self.device):  # the same images in every process
                learn_units(self.model, *self.batch(torch.arange(min(START, len(self.images)))))
            self.averaged = copies(self.parameters)
        self.objective = Objective(self.model, settings.compile)
        if processes.count > 1:
            warnings.filterwarnings("ignore", "Grad strides do not match")  # of a 1 × 1 kernel there are several
            self.objective = DistributedDataParallel(self.objective)

    @property
    def step(self) -> int:
        return self.descent.step

    def batch(self, rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """These images and their context."""
        rows = rows.to(self.device)
        return self.images[rows].to(memory_format=self.layout), one_hot_labels(self.labels[rows], self.classes)

    def run(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Train to the end, or until it is stopped, with validation and checkpoints on the way."""
        settings, started = self.settings, time.perf_counter() - self.seconds
        bar, pace = self.bar(), Pace(settings.batch, self.step, self.progress())
        if self.step == 0:
            self.save()  # a folder that cannot be written to is found now, and the run can be resumed from the start

        def take_step(lr: float) -> None:
            self.rate = lr
            self.take_step(lr)
            self.seconds = time.perf_counter() - started

        def after(done: bool, stop: bool) -> None:
            if bar is not None and (self.step % loop.REPORT == 0 or done):
                bar.show(round(self.seconds) if settings.time_budget else self.step, self.words)
            if self.step % settings.evaluate_every == 0 or done:
                self.evaluate(pace)
            elif bar is not None and bar.bar is None and pace.silent():  # a line in a log file that nobody looks at
                print(f"step {self.step:,}: {self.words()}, {pace.words(self.step, self.progress())}", flush=True)
            if self.step % settings.checkpoint_every == 0 or done or stop:
                self.save()

        loop.run(take_step, self.progress, after, lr=settings.lr, warmup=settings.warmup, stopped=stopped)
        self.stopped = stopped()  # also before the first step, and while the last look was taken
        if bar is not None:
            bar.close()

    def bar(self) -> Bar | None:
        """The bar of the first process: it counts steps, or seconds where there is a time budget."""
        budget = self.settings.time_budget
        if not self.processes.first:
            return None
        return (
            Bar(self.settings.steps, self.step) if budget is None else Bar(round(budget), round(self.seconds), "second")
        )

    def words(self) -> str:
        """The loss of the last step."""
        last = self.descent.pending[-1].item() if self.descent.pending else self.descent.losses[-1]
        return f"{last:.3f} bits per dimension"

    def progress(self) -> float:
        """How far the run is, from 0 to 1: by its steps, or by the clock where that is further."""
        steps, budget = self.settings.steps, self.settings.time_budget
        by_steps = 1.0 if self.step >= steps else (self.step + 0.5) / steps
        if budget is None:
            return by_steps
        if self.by_clock is None or self.step % CLOCK == 0:
            self.by_clock = self.processes.agreed(self.seconds / budget)
        return max(by_steps, self.by_clock)

    def take_step(self, lr: float) -> None:
        """One step of Adam on the batch of this step, and the weights' share in their average."""
        step, settings = self.step, self.settings
        torch.manual_seed(mixed(settings.seed, NOISE, step))
        loss = self.objective(*self.batch(self.batches.rows(step)), self.share)
        self.descent.take_step(lr, loss)
        kept = min(settings.ema, (1 + step) / (10 + step))  # an average of the young is young
        with torch.no_grad():
            torch._foreach_lerp_(list(self.averaged.values()), list(self.parameters.values()), 1.0 - kept)

    def record(self) -> None:
        """Read the losses of the last steps; FloatingPointError if a loss or a weight is not a number."""
        try:
            self.descent.read()
            if not all(value.isfinite().all() for value in self.averaged.values()):
                raise NotFinite(self.step + 1)
        except NotFinite as error:
            lr = self.settings.lr
            raise FloatingPointError(
                f"train: the loss is nan or infinite at step {error.step}. Likely cause: the steps are too long; try "
                f"--lr {min(lr / 3, MOST):.1g} (it was {lr:g}) or a smaller --clip. The checkpoint in {self.out} "
                "is from before."
            ) from None
        self.descent.norms.clear()

    @contextmanager
    def averaged_model(self) -> Iterator[PixelFlow]:
        """The model in eval mode with the averaged weights in place."""
        own = copies(self.parameters)
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

    def evaluate(self, pace: Pace) -> None:
        """Validation bits, a line in the log, the curve so far and a picture of samples."""
        self.record()
        settings, recent = self.settings, self.descent.losses[-RECENT:]
        with self.averaged_model() as model:
            count = min(settings.evaluate_images, len(self.data.validation))
            result = self.score(model, self.data.validation, count)
            self.best.offer(self.step, result.bits_per_dim, self.averaged)
            self.validation.append({"step": self.step, **result.as_card()})
            if not self.processes.first:
                return
            training = sum(recent) / len(recent)
            self.log.append(
                {"step": self.step, "seconds": round(self.seconds, 1), "training": training,
                 "validation": result.bits_per_dim, "error": result.error, "bound": result.bound, "rate": self.rate,
                 "images_a_second": round(pace.speed(self.step), 1)}
            )  # fmt: skip
            save_log(self.out, self.log)
            left = pace.words(self.step, self.progress())
            print(f"step {self.step:,}: training {training:.4f}, validation {result}, {left}", flush=True)
            if self.pictures is None:
                return
            write(self.out / "curve.png", self.pictures.curve(self.descent.losses, self.log))
            try:
                page = self.pictures.sheet(samples(model, 100, self.classes, seed=settings.seed), self.data.levels)
                write(self.out / f"samples-{self.step:06d}.png", page)
            except FloatingPointError as error:  # a young model may give points that are not numbers
                print(f"no picture: {error}", flush=True)

    def score(self, model: PixelFlow, split: Split, images: int | None = None) -> Score:
        settings = self.settings
        return score(model, split, self.classes, settings.draws, images, settings.seed, self.processes)

    def save(self) -> None:
        """A checkpoint and the model that is kept, written by the first process; where it cannot, all end."""
        self.record()
        problem = None
        if self.processes.first:
            try:
                save_state(self.out, self.settings, self.state())
                save_losses(self.out, self.descent.losses, self.listed)
                self.listed = len(self.descent.losses)
                save_model(self.out, self.kept(), self.card())
            except OSError as error:
                problem = error
        if self.processes.agreed(problem is not None):
            raise problem or OSError(f"process {self.processes.rank} ends because the first one cannot write.")

    def state(self) -> State:
        """All that is needed to go on from here."""
        model, best, moments = self.model.state_dict(), self.best.tensors, self.descent.moments()
        return State(self.step, self.seconds, self.descent.losses, self.validation, model, self.averaged, best, moments)

    def restore(self, state: State) -> None:
        """Go on from there."""
        fill(self.model, state.model, str(self.out))
        try:
            self.averaged = {
                name: torch.empty_like(value, requires_grad=False).copy_(state.averaged[name])  # laid out as weights
                for name, value in self.parameters.items()
            }
            self.descent.restore(state.losses, state.moments)
        except KeyError as error:
            raise ValueError(f"{self.out} cannot be resumed: its training checkpoint has no {error}.") from None
        self.seconds, self.validation = state.seconds, state.validation
        self.log = read_log(self.out, state.step)
        if state.best:
            found = min(state.validation, key=lambda each: each["bits_per_dim"])
            tensors = {name: value.to(self.device) for name, value in state.best.items()}
            self.best = Best(tensors, found["bits_per_dim"], found["step"])

    def kept(self) -> dict[str, Tensor]:
        """The model that is kept, as it is stored: the best so far, or what there is."""
        return stored(self.model.state_dict() | (self.best.tensors or self.averaged), self.settings.storage)

    def card(self, test: Score | None = None) -> Card:
        """What the model that is kept is, and how it was made."""
        device, found = self.device, [each for each in self.validation if each["step"] == self.best.step]
        return {
            **self.model.card,
            "parameters": sum(value.numel() for value in self.parameters.values()),
            "steps": self.step,
            "seconds": round(self.seconds, 1),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU",
            "processes": self.processes.count,
            "precision": self.precision,
            "torch": torch.__version__.partition("+")[0],
            "command": self.settings.command(),
            "seed": self.settings.seed,
            "validation": found[0] if found else None,
            "test": test.as_card() if test else None,
        }

    def finish(self) -> Score:
        """The bits on the test images, of the best model as it is stored, into its card."""
        kept = self.kept()
        fill(self.model, kept, str(self.out))
        result = self.score(self.model.eval(), self.data.test)
        if self.processes.first:
            save_model(self.out, kept, self.card(result))
        return result


def train(
    settings: Settings, data: ImageSet, model: PixelFlow, out: Path, pictures: Pictures | None = None,
    processes: Processes = ALONE, resume: bool = False,
) -> Score | None:  # fmt: skip
    """Train a model to the end of its steps or of its time; its bits on the test images.

    Everything is in the folder `out` afterwards (`training.run_files`). Ctrl-C and SIGTERM end a run after the step
    that it is at, or after a few where several processes have to agree, with a checkpoint; the result is then None.

    Args:
        settings, data, model, out, pictures, processes, resume: as `Trainer` takes them.
    """
    with alone(out) if processes.first else nullcontext(), seeded(settings.seed, processes.device):
        if not resume and (out / "training.json").exists():
            raise FileExistsError(f"{out} holds a run already. Go on with --resume, or name another folder with --out.")
        trainer = Trainer(settings, data, model, out, pictures, processes, resume)
        if processes.first:
            count = sum(value.numel() for value in trainer.parameters.values())
            shared = f" and {processes.count - 1} more" if processes.count > 1 else ""
            start = f", from step {trainer.step:,}" if resume else ""
            where = f"on {processes.device}{shared}{start}"
            print(f"{data}\n{settings.model}: {count:,} parameters, {where}", flush=True)
        if processes.count == 1:
            with polite_stop(STOPPING) as stopped:
                trainer.run(stopped)
        else:  # torchrun hands on a sign that each process may have heard before, and no step can be taken alone
            with polite_stop(STOPPING_ALL * processes.first, patient=True) as heard:
                trainer.run(lambda: trainer.step % CLOCK == 0 and processes.anyone(heard()))
        return None if trainer.stopped else trainer.finish()
