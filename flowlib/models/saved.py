"""A flow of one's own as a folder: a card with the recipe that built it and its arguments, and its tensors.

A recipe leaves its name and its arguments on the flow, `save` writes them down, and `flowlib.load` calls the recipe
again and fills the tensors in: the same densities, bit by bit, with the units and the precision of the data. What is
stored is numbers and words, no code; see models/checkpoint.py.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from flowlib import bases
from flowlib.core import Base, Flow
from flowlib.models.checkpoint import Card, fill, read_card
from flowlib.models.checkpoint import save as save_files

RECIPES: dict[str, Callable[..., Flow]] = {}
BASES: dict[str, Callable[[Mapping[str, Tensor]], Base]] = {  # one of the right shape, to be filled
    "StandardNormal": lambda stored: bases.StandardNormal(len(stored["loc"])),
    "DiagonalNormal": lambda stored: bases.DiagonalNormal(torch.zeros(len(stored["loc"])), 1.0),
    "Uniform": lambda stored: bases.Uniform(torch.zeros(len(stored["low"])), 1.0),
    "NormalMixture": lambda stored: bases.NormalMixture(torch.zeros(stored["loc"].shape)),
}


def recipe(function: Callable[..., Flow]) -> Callable[..., Flow]:
    """A recipe whose flows remember it: `flow.recipe` is its name and all of its arguments but the base."""

    @functools.wraps(function)
    def build(*args: Any, **kwargs: Any) -> Flow:
        flow = function(*args, **kwargs)
        given = inspect.signature(function).bind(*args, **kwargs)
        given.apply_defaults()
        arguments = {name: value for name, value in given.arguments.items() if name != "base"}
        flow.recipe = {"recipe": function.__name__, "arguments": arguments}
        return flow

    RECIPES[function.__name__] = build
    return build


def save(flow: Flow, folder: str | Path) -> None:
    """Write a flow that a recipe of flowlib.models built into a folder, for `flowlib.load(folder)`.

    A flow that was saved there before is replaced in one step. The flow that the card describes is built and compared
    before anything is written, so that what is saved can be loaded.

    Raises:
        TypeError: it is no Flow. ValueError: no recipe built it, it was changed since, or its base is not one of
        flowlib's; or the folder holds a model of another kind. OSError: the folder cannot be written to.

    >>> from tempfile import mkdtemp
    >>> from flowlib import load
    >>> from flowlib.models import maf
    >>> flow, folder, x = maf(3, layers=2), mkdtemp(), torch.randn(5, 3)
    >>> save(flow, folder)
    >>> torch.equal(load(folder).log_prob(x), flow.eval().log_prob(x))
    True
    """
    if not isinstance(flow, Flow):
        raise TypeError(
            f"save expects a Flow; got {type(flow).__name__}. A model of pixels is saved by `flowlib train`."
        )
    instead = (
        "Keep the code that builds it and save its tensors: safetensors.torch.save_file(flow.state_dict(), path), and "
        "later flow.load_state_dict(safetensors.torch.load_file(path))."
    )
    if not hasattr(flow, "recipe"):
        raise ValueError(
            f"save: no recipe of flowlib.models built this flow ({', '.join(RECIPES)}), so a card cannot say how to "
            f"build it again. {instead}"
        )
    base = type(flow.base).__name__
    if base not in BASES:
        raise ValueError(f"save: the base is a {base}; a card can name {', '.join(BASES)}. {instead}")
    folder, tensors = Path(folder).expanduser(), flow.state_dict()
    card = {**plain(flow.recipe), "base": base, "dtype": dtype_of(flow)}
    again = build(card, tensors, "save: the flow was changed since")
    kept = all(value.dtype == tensors[name].dtype for name, value in again.state_dict().items())
    if not kept or repr(again) != repr(flow):
        raise ValueError(
            f"save: the flow is not what {card['recipe']} built any more; parts were exchanged or cast. {instead}"
        )
    if (folder / "model.json").exists() and "recipe" not in read_card(folder, "model"):
        raise ValueError(f"save: {folder} holds an image model, which would be lost. Choose another folder.")
    save_files(folder, "model", tensors, card)


def build(card: Card, tensors: Mapping[str, Tensor], source: str) -> Flow:
    """The flow that a card and its tensors describe. `source` is named in errors."""
    if missing := [key for key in ("arguments", "base", "dtype") if key not in card]:
        raise ValueError(f"{source}: the card says nothing of {', '.join(missing)}, so the flow cannot be built.")
    for key, known in (("recipe", RECIPES), ("base", BASES), ("dtype", ("float16", "bfloat16", "float32", "float64"))):
        if card[key] not in tuple(known):
            raise ValueError(f"{source}: the card names the {key} {card[key]!r}; this flowlib has {', '.join(known)}.")
    stored = {name.removeprefix("base."): value for name, value in tensors.items() if name.startswith("base.")}
    try:
        with torch.random.fork_rng(devices=[]):
            flow = RECIPES[card["recipe"]](**card["arguments"], base=BASES[card["base"]](stored))
    except (TypeError, ValueError, KeyError) as error:
        raise ValueError(f"{source}: {card['recipe']} cannot be built from its card: {error}") from error
    flow.to(getattr(torch, card["dtype"]))
    fill(flow, tensors, source)
    return flow


def dtype_of(flow: Flow) -> str:
    """The precision that a flow computes in, as a card names it."""
    return str(next(flow.parameters()).dtype).removeprefix("torch.")


def plain(value: Any) -> Any:
    """Arguments of a recipe as JSON has them: numpy's numbers as numbers, tuples as lists."""
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Sequence):
        return [plain(each) for each in value]
    raise ValueError(f"save: a card cannot hold the argument {value!r}. Build the flow with numbers, words or lists.")
