"""The command line: `flowlib train`, `sample`, `evaluate`, `info` (or `python -m flowlib ...`).

    flowlib train --data digits --model glow --steps 50       writes runs/digits-glow
    flowlib sample runs/digits-glow --out samples.png
    flowlib evaluate runs/digits-glow
    flowlib info mnist-glow

    flowlib train --data photographs --size 32 --model glow   a folder of pictures of your own
    flowlib train --resume --steps 2000 --out runs/photographs-glow

On several GPUs: `torchrun --nproc-per-node 2 -m flowlib train --data mnist --model glow`.
"""

import argparse
import io
import math
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets.images import ImageSet
from flowlib.datasets.own import fingerprint
from flowlib.models import summary
from flowlib.models.checkpoint import write
from flowlib.models.pretrained import (
    DATA,
    DEQUANTIZE,
    MODELS,
    NOISE,
    all_arguments,
    build,
    check_arguments,
    data_set,
    load,
    names,
)
from flowlib.pixels.pixel_flow import PixelFlow
from flowlib.support.checks import check_choice, check_count
from flowlib.training.evaluation import Score, classes_of, samples, score
from flowlib.training.processes import choose_device, processes
from flowlib.training.run_files import resumed_settings
from flowlib.training.seeds import WEIGHTS, mixed, seeded
from flowlib.training.settings import Settings, option, parse_arguments
from flowlib.training.trainer import Pictures, train

INTERRUPTED = 130  # the exit status after Ctrl-C
ERRORS = (ValueError, OSError, ImportError, FloatingPointError, torch.OutOfMemoryError)
ROUNDING = 0.0005  # bits per dimension by which the same computation differs from machine to machine, at most
CHOICES = {"data": DATA, "model": MODELS, "dequantize": DEQUANTIZE}  # settings that are names


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowlib", description="Normalizing flows on images: train, sample, evaluate.")
    commands = top.add_subparsers(dest="command", required=True, metavar="train | sample | evaluate | info")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto: CUDA where there is one (auto)")
    device.add_argument("--threads", type=int, help="threads of the processor (as many as it has cores)")

    page = commands.add_parser("train", parents=[device], help="train a model", description="Train a model on images.")
    for each in fields(Settings):
        default, name = Settings.default(each), option(each.name)
        about = each.metadata["help"] + (f": {', '.join(CHOICES[each.name])}" if each.name in CHOICES else "")
        shown = "" if default is None or default is False or default == {} else f" ({default})"
        kind = {"size": int, "time_budget": float}.get(each.name, type(default))
        extra: dict = {"type": kind, "metavar": name.strip("-").upper()}
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
    page.add_argument(
        "--out", type=Path, default=Path("samples.png"), help="a picture, .png, .jpg, ...; or .npy (samples.png)"
    )

    about = "Bits per dimension of a model on held-out images, beside what its card says. Exit status 1 if they differ."
    page = commands.add_parser("evaluate", parents=[device], help="bits per dimension", description=about)
    page.add_argument("checkpoint", help=what)
    page.add_argument("--part", choices=("test", "validation", "train"), default="test", help="which images (test)")
    page.add_argument("--images", type=int, help="the first so many of them; all if not given")
    page.add_argument("--draws", type=int, help="draws of noise for each image (as many as the card says)")
    page.add_argument("--seed", type=int, help="of the noise (that of the run)")
    page.add_argument("--data", help="other images than those of its card: a data set or a path (the card's)")

    page = commands.add_parser("info", parents=[device], help="what a model is", description="What a model is made of.")
    page.add_argument("checkpoint", help=what)
    return top


def run_train(options: argparse.Namespace) -> int:
    chosen = {each.name: getattr(options, each.name) for each in fields(Settings) if hasattr(options, each.name)}
    if "arguments" in chosen:
        chosen["arguments"] = parse_arguments(chosen["arguments"])
    data, model = chosen.get("data", Settings.data), chosen.get("model", Settings.model)
    out = options.out or Path("runs") / f"{Path(data).stem}-{model}"
    with processes(options.device) as shared:
        settings = resumed_settings(out, chosen) if options.resume else Settings(**chosen)
        data, model = shared.in_turn(lambda: prepared(settings))
        result = train(settings, data, model, out, Pictures(draw, curve), shared, options.resume)
        if not shared.first:
            return 0
    if result is None:
        print(f"stopped; what is done so far is in {out}, and the same command with --resume goes on")
        return INTERRUPTED
    print(f"test: {result}\nwritten to {out}; see it with: flowlib sample {out}")
    return 0


def prepared(settings: Settings) -> tuple[ImageSet, PixelFlow]:
    """The images that the settings name, and the model, untrained."""
    check_arguments("train", settings.model, settings.arguments)
    check_choice("train", "dequantize", settings.dequantize, DEQUANTIZE)
    data = data_set(settings.data, settings.size, settings.batches)
    own = {} if settings.data in DATA else {"size": settings.size, "fingerprint": fingerprint(data)}
    card = {
        "data": settings.data,
        **own,
        "shape": list(data.shape),
        "levels": data.levels,
        "classes": classes_of(data) if settings.conditional else 0,
        "model": settings.model,
        "arguments": all_arguments(settings.model, settings.arguments),
        "dequantize": settings.dequantize,
        **({"noise": NOISE} if settings.dequantize == "variational" else {}),
        "alpha": settings.alpha,
    }
    with seeded(mixed(settings.seed, WEIGHTS), torch.device("cpu")):
        return data, build(card, "train")


def draw(images: Tensor, levels: int) -> bytes:
    """A picture of images; what draws is loaded only where it is needed."""
    from flowlib.viz.chapters.sheet import sheet_png

    return sheet_png(images, levels)


def curve(losses: list[float], looks: list[dict[str, float]]) -> bytes:
    """The curve of a run."""
    from flowlib.viz.chapters.curve import curve_png

    return curve_png(losses, looks)


def image_model(options: argparse.Namespace) -> PixelFlow:
    model = load(options.checkpoint, choose_device(options.device))
    if not isinstance(model, PixelFlow):
        raise ValueError(
            f"{options.checkpoint} holds a flow on vectors, and these commands are for images. In Python: "
            f"flowlib.load({options.checkpoint!r})."
        )
    return model


def run_sample(options: argparse.Namespace) -> int:
    model = image_model(options)
    classes = model.card["classes"]
    if options.label is not None:
        if not classes:
            raise ValueError("sample: this model was trained without classes, so it takes no --label.")
        check_choice("sample", "label", options.label, range(classes))
    check_count("sample", "n", options.n)
    drawn = samples(model, options.n, classes, options.temperature, options.label, options.seed)
    write(options.out, in_format(options.out, drawn, model.levels))
    print(f"{options.n} images written to {options.out}")
    return 0


def in_format(out: Path, images: Tensor, levels: int) -> bytes:
    """Images as the ending of a file name wants them: a picture of all, or an array (n, C, H, W) for .npy."""
    if out.suffix.lower() != ".npy":
        from flowlib.viz.chapters.sheet import sheet_file

        return sheet_file(images, levels, out.suffix)
    file = io.BytesIO()
    np.save(file, images.numpy())
    return file.getvalue()


def run_evaluate(options: argparse.Namespace) -> int:
    model = image_model(options)
    card = model.card
    for name in ("images", "draws"):
        if getattr(options, name) is not None:
            check_count("evaluate", name, getattr(options, name))
    data = data_set(options.data or card.get("data"), card.get("size"))
    if tuple(data.shape) != tuple(card["shape"]) or data.levels > card["levels"]:
        raise ValueError(
            f"evaluate: the model is one of images of shape {tuple(card['shape'])} in {card['levels']} levels; {data} "
            "are others."
        )
    known = Score.from_card(card["test"], options.checkpoint) if card.get("test") else None
    draws = options.draws if options.draws is not None else known.draws if known else 1
    own_seed = seed_of(card)
    seed = own_seed if options.seed is None else options.seed
    result = score(model, getattr(data, options.part), card["classes"], draws, options.images, seed)
    print(f"{options.part}: {result}")
    if known is None or options.part != "test":
        return 0
    print(f"card: {known}")
    same = fingerprint(data) == card["fingerprint"] if "fingerprint" in card else options.data in (None, card["data"])
    if not same or result.images != known.images:
        what = f"the first {result.images:,} of {known.images:,} images" if same else "other images"
        print(f"not compared: these are {what}, which may be easier or harder")
        return 0
    chance = 0.0 if (seed, draws) == (own_seed, known.draws) else 4.0 * math.hypot(result.noise, known.noise)
    if math.isnan(chance):  # a single draw knows nothing of its noise, or the card is an older one
        chance = 4.0 * math.sqrt(2.0) * result.noise if result.draws > 1 else known.error
    agrees = abs(result.bits_per_dim - known.bits_per_dim) <= chance + ROUNDING
    print(f"{'reproduced' if agrees else 'NOT reproduced'}: a difference up to {chance + ROUNDING:.4f} is chance")
    return 0 if agrees else 1


def seed_of(card: dict) -> int:
    """The seed of the run that made a model: in its card, or, of an older one, in its command."""
    words = str(card.get("command", "")).split()
    typed = words[words.index("--seed") + 1] if "--seed" in words[:-1] else "0"
    return int(card.get("seed", typed if typed.isdigit() else 0))


def run_info(options: argparse.Namespace) -> int:
    model = image_model(options)
    shown = {key: value for key, value in model.card.items() if key not in ("tensors", "format", "validation", "test")}
    for key, value in shown.items():
        print(f"{key:12} {value}")
    for part in ("validation", "test"):
        if model.card.get(part):
            print(f"{part:12} {Score.from_card(model.card[part], options.checkpoint)}")
    print(summary(model.flow))
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors are said in one sentence, and the exit status is then 2."""
    for stream in (sys.stdout, sys.stderr):  # a console that has no "±" prints a question mark
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    options = parser().parse_args(arguments)
    try:
        if options.threads is not None:
            torch.set_num_threads(check_count(options.command, "threads", options.threads))
        run = {"train": run_train, "sample": run_sample, "evaluate": run_evaluate, "info": run_info}
        return run[options.command](options)
    except ERRORS as error:
        full = isinstance(error, torch.OutOfMemoryError)
        advice = "the GPU is full." + (" Use a smaller --batch." if options.command == "train" else "")
        print(f"flowlib: {advice if full else error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        go_on = (
            "; the same command with --resume goes on from the last checkpoint" if options.command == "train" else ""
        )
        print(f"stopped{go_on}", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
