"""The settings of a training run: each once, with its default and its help; the command line is made from them."""

import ast
import json
import shlex
from dataclasses import MISSING, Field, asdict, dataclass, field, fields
from typing import Any

from flowlib.support.checks import check_above_zero, check_choice, check_count

LEAST_ALPHA = 1e-6
PRECISIONS, STORAGE = ("auto", "float32", "bfloat16"), ("float32", "bfloat16", "float16")


def setting(default: Any, help: str, free: bool = False) -> Any:
    """A field; where it is free, a run that is resumed may have another value than before."""
    return field(default=default, metadata={"help": help, "free": free})


@dataclass(frozen=True)
class Settings:
    """All of a run: with the same settings on the same machine it gives the same numbers. A run that is prolonged, with
    more steps or time than before, goes on with the learning rate of that place in the longer run.

    Data, model and noise are names here; who builds the model knows which there are.
    """

    data: str = setting("digits", "images: a folder of pictures, a .npy or .npz file, or one of")
    size: int | None = setting(None, "pixels of the square that pictures of a folder are cropped and scaled to")
    batches: int = setting(5, "of the five batches that CIFAR-10's training images are published in, the first so many")
    model: str = setting("glow", "recipe")
    arguments: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "of the recipe, e.g. width=32 scales=2", "free": False}
    )
    start: str | None = setting(None, "begin with the weights of this model: the folder of a run, or a name")
    conditional: bool = setting(False, "tell the model the class of each image")
    dequantize: str = setting("uniform", "noise")
    alpha: float = setting(0.05, "rim of the pixel logit; a small one, 1e-6, spreads what is black or white")
    steps: int = setting(1000, "steps of the optimizer, at most; a run may be prolonged", free=True)
    time_budget: float | None = setting(None, "seconds after which the run ends, its learning rate at zero", free=True)
    batch: int = setting(128, "images in a step, in all processes together")
    lr: float = setting(1e-3, "learning rate at its height")
    warmup: float = setting(0.05, "fraction of the run in which the learning rate grows; then it falls as a cosine")
    clip: float = setting(1.0, "gradients longer than this are cut to it")
    ema: float = setting(0.999, "how much of the averaged weights stays at a step; they are what is evaluated and kept")
    seed: int = setting(0, "of weights, batches and noise")
    precision: str = setting("auto", "of the networks: float32, bfloat16, or auto: bfloat16 on a GPU")
    storage: str = setting("float32", f"of the weights that are kept: {', '.join(STORAGE)}")
    channels_last: bool = setting(False, "lay images out in memory with their channels last")
    compile: bool = setting(False, "let torch compile the model: minutes of waiting, then faster steps", free=True)
    checkpoint_every: int = setting(500, "steps between two checkpoints", free=True)
    evaluate_every: int = setting(200, "steps between two looks at the validation images, with a picture", free=True)
    evaluate_images: int = setting(1000, "how many validation images", free=True)
    draws: int = setting(8, "draws of noise for each image in the importance-weighted bound", free=True)

    def __post_init__(self) -> None:
        check_choice("train", "precision", self.precision, PRECISIONS)
        check_choice("train", "storage", self.storage, STORAGE)
        if not LEAST_ALPHA <= self.alpha < 0.5:  # in float32, 1 − α must not be rounded to 1
            raise ValueError(f"train: alpha must be at least {LEAST_ALPHA:g} and below 1/2; got {self.alpha!r}.")
        for name in ("steps", "batch", "checkpoint_every", "evaluate_every", "evaluate_images", "draws"):
            check_count("train", name, getattr(self, name))
        check_count("train", "seed", self.seed, 0)
        for name in ("lr", "clip"):
            check_above_zero("train", name, getattr(self, name))
        if self.size is not None:
            check_count("train", "size", self.size)
        if self.time_budget is not None:
            check_above_zero("train", "time_budget", self.time_budget)
        for name in ("warmup", "ema"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"train: {name} must be at least 0 and below 1; got {getattr(self, name)!r}.")

    def as_card(self) -> dict[str, Any]:
        return asdict(self)

    def differences(self, card: dict[str, Any]) -> list[str]:
        """In which settings, other than free ones, this run differs from the one with that card."""
        fixed = [each.name for each in fields(self) if not each.metadata["free"]]
        own = json.loads(json.dumps(self.as_card()))  # as a card stores it: a tuple becomes a list
        pairs = [(name, card.get(name), own[name]) for name in fixed]
        return [f"{name} was {old!r}, is {new!r}" for name, old, new in pairs if old != new]

    def command(self) -> str:
        """The command line of such a run, without what is as by default."""
        words = ["flowlib", "train"]
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name in ("data", "model", "steps") or value != type(self).default(each):
                words += [option(each.name)]
                if isinstance(value, dict):
                    words += [f"{key}={item}" for key, item in value.items()]
                elif not isinstance(value, bool):
                    words += [str(value)]
        return shlex.join(words)

    @staticmethod
    def default(each: Field) -> Any:
        """What a setting is if it is not given."""
        return each.default_factory() if each.default is MISSING else each.default


def option(name: str) -> str:
    """The option of a setting: --set for the arguments of the recipe, --time-budget for time_budget."""
    return "--set" if name == "arguments" else f"--{name.replace('_', '-')}"


def parse_arguments(words: list[str]) -> dict[str, Any]:
    """Arguments of a recipe as they are typed.

    >>> parse_arguments(["width=32", "law=affine"])
    {'width': 32, 'law': 'affine'}
    """
    arguments = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"train: after --set, arguments are typed as name=value, e.g. width=32; got {word!r}.")
        try:
            arguments[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            arguments[name] = value
    return arguments
