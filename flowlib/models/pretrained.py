"""Models from their cards: `load` reads one that was trained before, `build` makes an image model anew.

A card names the recipe and all its arguments, so that the model is built by the same code that a reader opens, and its
tensors are then filled in. `names()` lists the checkpoints that come with flowlib.
"""

import inspect
from collections.abc import Callable
from pathlib import Path

import torch

from flowlib.core import Flow
from flowlib.datasets import images
from flowlib.datasets.images import ImageSet
from flowlib.datasets.own import own_images
from flowlib.models import format_1, saved
from flowlib.models.checkpoint import FOLDER, Card, fill, read
from flowlib.models.dequantizers import pixel_noise
from flowlib.models.images import glow, nice_image, real_nvp_image, residual_flow_image, transformer_image
from flowlib.models.vectors import real_nvp
from flowlib.pixels.pixel_flow import PixelFlow, VariationalDequantize
from flowlib.support.checks import check_choice

DATA: dict[str, Callable[[], ImageSet]] = {
    "digits": images.digits,
    "mnist": images.mnist,
    "fashion_mnist": images.fashion_mnist,
    "cifar10": images.cifar10,
}
MODELS: dict[str, Callable[..., Flow]] = {
    "glow": glow,
    "nice": nice_image,
    "real_nvp": real_nvp_image,
    "residual": residual_flow_image,
    "transformer": transformer_image,
}
DEQUANTIZE = ("uniform", "variational")
NOISE = {"couplings": 4, "width": 16, "blocks": 1}  # of variational noise; older cards have none, theirs is dense


def data_set(name: str, size: int | None = None, batches: int = 5) -> ImageSet:
    """The image set of this name, or the images at this path (`datasets.own`).

    Args:
        name: one of DATA, or a folder of pictures, or a .npy or .npz file.
        size: pictures of a folder are cropped and scaled to size × size.
        batches: of CIFAR-10's five training batches, the first so many.
    """
    if name in DATA:
        if size is not None:
            raise ValueError(f"data: --size is for pictures of your own; the images of {name} have their size.")
        return images.cifar10(batches) if name == "cifar10" else DATA[name]()
    if not Path(name).expanduser().exists():
        raise ValueError(
            f"data must be one of {', '.join(map(repr, DATA))}, or a folder of pictures, or a .npy or .npz file; got "
            f"{name!r}."
        )
    return own_images(name, size)


def names() -> list[str]:
    """The checkpoints that come with flowlib, each a folder in `flowlib/models/trained/`."""
    return sorted(path.parent.name for path in FOLDER.glob("*/model.json"))


def load(name: str | Path, device: str | torch.device = "cpu") -> PixelFlow | Flow:
    """A trained model, in eval mode: a checkpoint that comes with flowlib, by name, or the folder of a training run, or
    the folder of a flow that `flowlib.save` has written.

    The `card` of an image model says what it was trained on, how, for how long, and how many bits per dimension it
    takes on test images; the `recipe` of a flow says what built it.

    Raises:
        FileNotFoundError: there is none of that name; the message lists those there are.
        ValueError: it is damaged, or is no checkpoint of flowlib's; a pickle, for one.
    """
    folder = FOLDER / name if str(name) in names() else Path(name).expanduser()
    if not folder.exists():
        shipped = ", ".join(map(repr, names())) or "none"
        raise FileNotFoundError(
            f"load: {str(name)!r} is neither a checkpoint that comes with flowlib ({shipped}) nor a folder that "
            "`flowlib train` or `flowlib.save` has written, such as runs/digits-glow."
        )
    card, tensors = read(folder, "model")
    bad = [name for name, value in tensors.items() if value.is_floating_point() and not value.isfinite().all()]
    if bad:
        raise ValueError(f"{folder}: {bad[0]} holds nan or inf, so the model has no density. Train it again.")
    if card.get("model") == "fast_flow":
        raise ValueError(
            f"{folder} holds a detector of defects. flowlib evaluate {folder} judges it; in Python: "
            "flowlib.training.read_detector."
        )
    if "recipe" in card:
        return saved.build(card, tensors, str(folder)).to(device).eval()
    old = card["format"] == 1
    model = build(format_1.card_of(card) if old else card, str(folder))
    fill(model, format_1.tensors_of(tensors, model) if old else tensors, str(folder))
    return model.to(device).eval()


def build(card: Card, source: str = "build") -> PixelFlow:
    """The model that a card describes, untrained: its random numbers are torch's. `source` is named in errors."""
    keys = ("shape", "levels", "classes", "model", "arguments", "dequantize", "alpha")
    if missing := [key for key in keys if key not in card]:
        raise ValueError(f"{source}: the card says nothing of {', '.join(missing)}, so the model cannot be built.")
    shape, levels = torch.Size(card["shape"]), card["levels"]
    check_arguments(source, card["model"], card["arguments"])
    flow = MODELS[card["model"]](shape, **card["arguments"], context_dim=card["classes"])
    dequantize = check_choice(source, "dequantize", card["dequantize"], DEQUANTIZE)
    if dequantize == "variational":
        noise = pixel_noise(shape, **card["noise"]) if "noise" in card else dense_noise(shape.numel())  # q(v | x)
        dequantize = VariationalDequantize(shape, levels, noise)
    model = PixelFlow(flow, levels, dequantize, card["alpha"])
    model.card = card
    return model


def dense_noise(dim: int) -> Flow:
    """The noise of models whose cards say nothing of it."""
    return real_nvp(dim, layers=4, hidden=(128,), context_dim=dim)


def check_arguments(owner: str, model: str, arguments: dict) -> None:
    """Raise unless there is a recipe of that name and it takes these arguments."""
    check_choice(owner, "model", model, tuple(MODELS))
    own = all_arguments(model, {})
    if unknown := [name for name in arguments if name not in own]:
        raise ValueError(f"{owner}: {model} takes {', '.join(own)}; got {', '.join(unknown)}.")


def all_arguments(model: str, given: dict) -> dict:
    """These arguments of a recipe and the defaults of all others, but for those that the data decides."""
    own = inspect.signature(MODELS[model]).parameters.values()
    return {each.name: each.default for each in own if each.name not in ("shape", "context_dim", "base")} | given
