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


def run_train(options: argparse.Namespace) -> int:
    chosen = {each.name: getattr(options, each.name) for each in fields(Settings) if hasattr(options, each.name)}
    if "arguments" in chosen:
        chosen["arguments"] = parse_arguments(chosen["arguments"])
    data, model = chosen.get("data", Settings.data), chosen.get("model", Settings.model)
    out = options.out or Path("runs") / f"{data}-{model}"
    with processes(options.device) as shared:
        settings = resumed_settings(out, chosen) if options.resume else Settings(**chosen)
        data, model = prepared(settings)
        result = train(settings, data, model, out, draw, shared, options.resume)
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


def run_sample(options: argparse.Namespace) -> int:
    model = load(options.checkpoint, choose_device(options.device))
    classes = model.card["classes"]
    if options.label is not None:
        if not classes:
            raise ValueError("sample: this model was trained without classes, so it takes no --label.")
        check_choice("sample", "label", options.label, range(classes))
    check_count("sample", "n", options.n)
    drawn = samples(model, options.n, classes, options.temperature, options.label, options.seed)
    write(options.out, draw(drawn, model.levels))
    print(f"{options.n} images written to {options.out}")
    return 0


def run_evaluate(options: argparse.Namespace) -> int:
    model = load(options.checkpoint, choose_device(options.device))
    card = model.card
    for name in ("images", "draws"):
        if getattr(options, name) is not None:
            check_count("evaluate", name, getattr(options, name))
    check_choice(options.checkpoint, "data", card.get("data"), tuple(DATA))
    known = Score(**card["test"]) if card.get("test") else None
    draws = options.draws if options.draws is not None else known.draws if known else 1
    split = getattr(DATA[card["data"]](), options.part)
    result = score(model, split, card["classes"], draws, options.images, options.seed)
    print(f"{options.part}: {result}")
    if known is None or options.part != "test":
        return 0
    error = known.error if result.images == known.images else 3.0 * result.error  # other images: three times the error
    agrees = abs(result.bits_per_dim - known.bits_per_dim) <= error
    print(f"card: {known}\n{'reproduced' if agrees else 'NOT reproduced'}: a difference up to {error:.4f} is chance")
    return 0 if agrees else 1


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors are said in one sentence, and the exit status is then 2."""
    options = parser().parse_args(arguments)
    try:
        return {"train": run_train, "sample": run_sample, "evaluate": run_evaluate}[options.command](options)
    except ERRORS as error:
        full = isinstance(error, torch.OutOfMemoryError)
        print(f"flowlib: {'the GPU is full. Use a smaller --batch.' if full else error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
