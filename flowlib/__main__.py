"""The command line: `flowlib train`, `flowlib sample`, `flowlib evaluate` (or `python -m flowlib ...`).

    flowlib train --data digits --model glow --steps 50       writes runs/digits-glow
    flowlib sample runs/digits-glow --out samples.png
    flowlib evaluate runs/digits-glow

On several GPUs: `torchrun --nproc-per-node 2 -m flowlib train --data mnist --model glow`.
"""

import argparse
import sys
from dataclasses import fields
from pathlib import Path

import torch
from torch import Tensor

from flowlib.datasets.images import ImageSet
from flowlib.models.checkpoint import write
from flowlib.models.pretrained import DATA, DEQUANTIZE, MODELS, all_arguments, build, check_arguments, load, names
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.support.checks import check_choice, check_count
from flowlib.training.evaluation import Score, classes_of, samples, score
from flowlib.training.processes import choose_device, processes
from flowlib.training.run_files import resumed_settings
from flowlib.training.seeds import WEIGHTS, mixed, seeded
from flowlib.training.settings import Settings, option, parse_arguments
from flowlib.training.trainer import train

ERRORS = (ValueError, OSError, ImportError, FloatingPointError, torch.OutOfMemoryError)
CHOICES = {"data": DATA, "model": MODELS, "dequantize": DEQUANTIZE}  # settings that are names


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowlib", description="Normalizing flows on images: train, sample, evaluate.")
    commands = top.add_subparsers(dest="command", required=True, metavar="train | sample | evaluate")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", default="auto", help="cpu, cuda, cuda:1; auto: a GPU where there is one (auto)")

    page = commands.add_parser("train", parents=[device], help="train a model", description="Train a model on images.")
    for each in fields(Settings):
        default, name = Settings.default(each), option(each.name)
        about = each.metadata["help"] + (f": {', '.join(CHOICES[each.name])}" if each.name in CHOICES else "")
        shown = "" if default is None or default is False or default == {} else f" ({default})"
        kind = str if each.name == "data" else type(default)
        extra: dict = {"type": float if default is None else kind, "metavar": name.strip("-").upper()}
        if each.name == "arguments":
            extra = {"nargs": "+", "metavar": "NAME=VALUE"}
        elif kind is bool:
            extra = {"action": argparse.BooleanOptionalAction}
        page.add_argument(name, dest=each.name, default=argparse.SUPPRESS, help=about + shown, **extra)
    page.add_argument("--out", type=Path, help="folder of the run (runs/DATA-MODEL)")
    page.add_argument("--resume", action="store_true", help="go on from the checkpoint in the folder of the run")

    shipped = ", ".join(names()) or "none yet"
    what = f"a folder that a run has written, or a checkpoint that comes with flowlib: {shipped}"
    page = commands.add_parser("sample", parents=[device], help="draw images", description="Draw images from a model.")
    page.add_argument("checkpoint", help=what)
    page.add_argument("--n", type=int, default=100, help="how many (100)")
    page.add_argument("--temperature", type=float, default=1.0, help="below 1: nearer to the mode (1.0)")
    page.add_argument("--label", type=int, help="the class, of a conditional model; each in turn if not given")
    page.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    page.add_argument("--out", type=Path, default=Path("samples.png"), help="the picture (samples.png)")

    about = "Bits per dimension of a model on held-out images, beside what its card says. Exit status 1 if they differ."
    page = commands.add_parser("evaluate", parents=[device], help="bits per dimension", description=about)
    page.add_argument("checkpoint", help=what)
    page.add_argument("--part", choices=("test", "validation", "train"), default="test", help="which images (test)")
    page.add_argument("--images", type=int, help="the first so many of them; all if not given")
    page.add_argument("--draws", type=int, help="draws of noise for each image (as many as the card says)")
    page.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    return top


def run_train(words: argparse.Namespace) -> int:
    given = {each.name: getattr(words, each.name) for each in fields(Settings) if hasattr(words, each.name)}
    if "arguments" in given:
        given["arguments"] = parse_arguments(given["arguments"])
    data, model = given.get("data", Settings.data), given.get("model", Settings.model)
    out = words.out or Path("runs") / f"{data}-{model}"
    with processes(words.device) as shared:
        settings = resumed_settings(out, given) if words.resume else Settings(**given)
        data, model = prepared(settings)
        result = train(settings, data, model, out, draw, shared, words.resume)
        if not shared.first:
            return 0
    if result is None:
        print(f"stopped; what is done so far is in {out}, and the same command with --resume goes on")
        return 130
    print(f"test: {result}\nwritten to {out}; see it with: flowlib sample {out}")
    return 0


def prepared(settings: Settings) -> tuple[ImageSet, PixelFlow]:
    """The images that the settings name, and the model, untrained."""
    check_choice("train", "data", settings.data, tuple(DATA))
    check_arguments("train", settings.model, settings.arguments)
    check_choice("train", "dequantize", settings.dequantize, DEQUANTIZE)
    data = DATA[settings.data]()
    card = {
        "data": settings.data,
        "shape": list(data.shape),
        "levels": data.levels,
        "classes": classes_of(data) if settings.conditional else 0,
        "model": settings.model,
        "arguments": all_arguments(settings.model, settings.arguments),
        "dequantize": settings.dequantize,
        "alpha": settings.alpha,
    }
    with seeded(mixed(settings.seed, WEIGHTS), torch.device("cpu")):
        return data, build(card, "train")


def draw(images: Tensor, levels: int) -> bytes:
    """A picture of images; what draws is loaded only where it is needed."""
    from flowlib.viz.chapters.sheet import sheet_png

    return sheet_png(images, levels)


def run_sample(words: argparse.Namespace) -> int:
    model = load(words.checkpoint, choose_device(words.device))
    classes = model.card["classes"]
    if words.label is not None:
        if not classes:
            raise ValueError("sample: this model was trained without classes, so it takes no --label.")
        check_choice("sample", "label", words.label, range(classes))
    check_count("sample", "n", words.n)
    drawn = samples(model, words.n, classes, words.temperature, words.label, words.seed)
    write(words.out, draw(drawn, model.levels))
    print(f"{words.n} images written to {words.out}")
    return 0


def run_evaluate(words: argparse.Namespace) -> int:
    model = load(words.checkpoint, choose_device(words.device))
    card = model.card
    for name in ("images", "draws"):
        if getattr(words, name) is not None:
            check_count("evaluate", name, getattr(words, name))
    check_choice(words.checkpoint, "data", card.get("data"), tuple(DATA))
    known = Score(**card["test"]) if card.get("test") else None
    draws = words.draws if words.draws is not None else known.draws if known else 1
    split = getattr(DATA[card["data"]](), words.part)
    result = score(model, split, card["classes"], draws, words.images, words.seed)
    print(f"{words.part}: {result}")
    if known is None or words.part != "test":
        return 0
    error = known.error if result.images == known.images else 3.0 * result.error  # other images: three times the error
    agrees = abs(result.bits_per_dim - known.bits_per_dim) <= error
    print(f"card: {known}\n{'reproduced' if agrees else 'NOT reproduced'}: a difference up to {error:.4f} is chance")
    return 0 if agrees else 1


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors are said in one sentence, and the exit status is then 2."""
    words = parser().parse_args(arguments)
    try:
        return {"train": run_train, "sample": run_sample, "evaluate": run_evaluate}[words.command](words)
    except ERRORS as error:
        words = "the GPU is full. Use a smaller --batch." if isinstance(error, torch.OutOfMemoryError) else str(error)
        print(f"flowlib: {words}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
