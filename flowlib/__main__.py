"""The command line: `flowlib train`, `sample`, `evaluate`, `info` (or `python -m flowlib ...`).

    flowlib train --data digits --model glow --steps 50       writes runs/digits-glow
    flowlib sample runs/digits-glow --out samples.png
    flowlib evaluate runs/digits-glow
    flowlib info mnist-glow

    flowlib train --data photographs --size 32 --model glow   a folder of pictures of your own
    flowlib train --resume --steps 2000 --out runs/photographs-glow

    flowlib train --data tiles --model fast_flow              a detector of defects, from tiles/train/good
    flowlib evaluate runs/tiles-fast_flow                     scores, heat maps, areas under curves
    flowlib evaluate runs/tiles-fast_flow --data monday       scores and heat maps of new pictures, alarms

With the extra `anomaly` it can have the features of notebook 11a and a Gaussian a pixel:
`--set features=efficientnet_lite0 features_size=192 blocks=11,14 leveled=True per_pixel=True`.

On several GPUs: `torchrun --nproc-per-node 2 -m flowlib train --data mnist --model glow`.
"""

import argparse
import io
import math
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets.images import ImageSet
from flowlib.datasets.own import fingerprint
from flowlib.models import summary
from flowlib.models.checkpoint import Card, fill, read_card, write
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
from flowlib.training.detector import ARGUMENTS
from flowlib.training.evaluation import Score, classes_of, samples, score
from flowlib.training.precision import exact_convolutions
from flowlib.training.processes import choose_device, processes
from flowlib.training.run_files import resumed_settings
from flowlib.training.seeds import WEIGHTS, mixed, seeded
from flowlib.training.settings import Settings, option, parse_arguments
from flowlib.training.trainer import Pictures, train

INTERRUPTED = 130  # the exit status after Ctrl-C
ERRORS = (ValueError, OSError, ImportError, FloatingPointError, torch.OutOfMemoryError)
ROUNDING = 0.0005  # bits per dimension by which the same computation differs from machine to machine, at most
OF_DETECTORS = (
    "--model fast_flow is a detector of defects. It learns from --data FOLDER/train/good. By default --set is "
    f"{' '.join(f'{name}={value}' for name, value in ARGUMENTS.items())}; None is as the features have it. "
    "features=efficientnet_lite0 needs the extra `anomaly`; e.g. features_size=192 blocks=11,14 leveled=True are its "
    "features of a picture of 192 pixels, brought to one mean and deviation, after its blocks 11 and 14. "
    "per_pixel=True begins with one Gaussian a pixel, for objects that lie in one place."
)
CHOICES = {"data": DATA, "model": (*MODELS, "fast_flow"), "dequantize": DEQUANTIZE}  # settings that are names


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowlib", description="Normalizing flows on images: train, sample, evaluate.")
    commands = top.add_subparsers(dest="command", required=True, metavar="train | sample | evaluate | info")
    device = argparse.ArgumentParser(add_help=False)
    device.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, mps; auto: CUDA where there is one (auto)")
    device.add_argument("--threads", type=int, help="threads of the processor (as many as it has cores)")

    page = commands.add_parser(
        "train", parents=[device], help="train a model", description="Train a model on images.", epilog=OF_DETECTORS
    )
    for each in fields(Settings):
        default, name = Settings.default(each), option(each.name)
        about = each.metadata["help"] + (f": {', '.join(CHOICES[each.name])}" if each.name in CHOICES else "")
        shown = "" if default is None or default is False or default == {} else f" ({default})"
        kind = {"size": int, "time_budget": float, "start": str}.get(each.name, type(default))
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

    about = (
        "Bits per dimension of a model on held-out images, beside what its card says. Exit status 1 if they differ. "
        "Of a detector of defects: scores and heat maps, of test pictures and how many defects were found, or of new "
        "pictures, a folder without test/, and how many are above the threshold; it takes --data alone."
    )
    page = commands.add_parser("evaluate", parents=[device], help="bits per dimension, defects", description=about)
    page.add_argument("checkpoint", help=what)
    page.add_argument("--part", choices=("test", "validation", "train"), default="test", help="which images (test)")
    page.add_argument("--images", type=int, help="the first so many of them (as many as the card says, or all)")
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
    if chosen.get("model") == "fast_flow":
        return run_train_detector(chosen, folder_of(options, chosen))
    if "start" in chosen and not options.resume:
        chosen = settings_of(load(chosen["start"]).card, chosen) | chosen
    out = folder_of(options, chosen)
    with processes(options.device) as shared:
        settings = resumed_settings(out, chosen) if options.resume else Settings(**chosen)
        data, model = shared.in_turn(lambda: prepared(settings))
        if options.resume:
            check_same_images(out, model.card)
        elif settings.start:
            begin_with(model, settings.start)
        result = train(settings, data, model, out, Pictures(draw, curve), shared, options.resume)
        if not shared.first:
            return 0
    if result is None:
        print(f"stopped; what is done so far is in {out}, and the same command with --resume goes on")
        return INTERRUPTED
    print(f"test: {result}\nwritten to {out}; see it with: flowlib sample {out}")
    return 0


def run_train_detector(chosen: dict[str, Any], out: Path) -> int:
    from flowlib.training.detector import train_detector

    card = train_detector(chosen, out)
    print(
        f"alarm above {card['threshold']:.4f}, the {card['quantile']:g} quantile of {card['held_out']} normal pictures"
    )
    print(f"written to {out}; judge it with: flowlib evaluate {out}")
    print(f"new pictures, without labels: flowlib evaluate {out} --data FOLDER")
    return 0


def run_evaluate_detector(options: argparse.Namespace) -> int:
    from flowlib.training.detector_evaluation import evaluate_detector
    from flowlib.viz.chapters.heat_maps import heat_png

    if given := [name for name in ("images", "draws", "seed") if getattr(options, name) is not None]:
        raise ValueError(f"evaluate: a detector of defects takes --data alone; got --{', --'.join(given)}.")
    folder = Path(options.checkpoint)
    report = evaluate_detector(folder, options.data, heat_png)
    print(f"{report}\nscores and heat maps are in {report.out}")
    return 0


def folder_of(options: argparse.Namespace, chosen: dict[str, Any]) -> Path:
    """The folder of the run, named by its images and its model if not by --out."""
    data, model = chosen.get("data", Settings.data), chosen.get("model", Settings.model)
    return options.out or Path("runs") / f"{Path(data).expanduser().resolve().stem}-{model}"


def settings_of(card: Card, chosen: dict[str, Any]) -> dict[str, Any]:
    """The settings that a new run has in common with the model that it begins with; of its images too, if no others
    are chosen."""
    names = ["model", "arguments", "dequantize", "alpha"] + ["data", "size"] * ("data" not in chosen)
    return {name: card[name] for name in names if name in card} | {"conditional": card["classes"] > 0}


def begin_with(model: PixelFlow, start: str) -> None:
    """The weights of another model, of the same build."""
    other = load(start)
    if other.data_shape != model.data_shape:
        raise ValueError(
            f"train: {start} is a model of images of shape {tuple(other.data_shape)}, so it cannot be the start of one "
            f"of {tuple(model.data_shape)}."
        )
    fill(model, other.state_dict(), start)


def check_same_images(out: Path, card: Card) -> None:
    """Raise if a run would go on with other images than before: some that it has trained on would be in its test."""
    known = (out / "model.json").exists() and read_card(out, "model").get("fingerprint")
    if known and known != card.get("fingerprint"):
        raise ValueError(
            f"{out}: the images at {card['data']} are no longer those of this run. Put them back, or begin a new run "
            f"with what it has learned: --start {out} --out ANOTHER."
        )


def prepared(settings: Settings) -> tuple[ImageSet, PixelFlow]:
    """The images that the settings name, and the model, untrained."""
    check_choice("train", "model", settings.model, CHOICES["model"])
    check_arguments("train", settings.model, settings.arguments)
    check_choice("train", "dequantize", settings.dequantize, DEQUANTIZE)
    data = data_set(settings.data, settings.size, settings.batches)
    own = {} if settings.data in DATA else {"size": settings.size, "fingerprint": fingerprint(data)}
    if settings.conditional and classes_of(data) < 2:
        raise ValueError("train: --conditional needs images of several classes, e.g. in a folder for each; got one.")
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


def is_detector(folder: Path) -> bool:
    """Whether a run of --model fast_flow has written this folder."""
    return (folder / "model.json").is_file() and read_card(folder, "model").get("model") == "fast_flow"


def run_sample(options: argparse.Namespace) -> int:
    model = image_model(options)
    classes = model.card["classes"]
    if options.label is not None:
        if not classes:
            raise ValueError("sample: this model was trained without classes, so it takes no --label.")
        check_choice("sample", "label", options.label, range(classes))
    check_count("sample", "n", options.n)
    check_count("sample", "seed", options.seed, 0)
    black = torch.zeros(1, *model.data_shape, dtype=torch.uint8)
    in_format(options.out, black, model.levels)  # an ending that is unknown is said before the work
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
    if is_detector(Path(options.checkpoint)):
        return run_evaluate_detector(options)
    model = image_model(options)
    card = model.card
    for name, least in (("images", 1), ("draws", 1), ("seed", 0)):
        if getattr(options, name) is not None:
            check_count("evaluate", name, getattr(options, name), least)
    name = options.data or str(card.get("data"))
    if not options.data and name not in DATA and not Path(name).exists():
        raise FileNotFoundError(
            f"evaluate: the card of {options.checkpoint} says that its images are {name}, and they are not here. Say "
            "where they are with --data."
        )
    data, classes = data_set(name, card.get("size")), card["classes"]
    if data.shape != model.data_shape or data.levels > model.levels or (classes and classes_of(data) > classes):
        of_classes = f" and {classes} classes" if classes else ""
        raise ValueError(
            f"evaluate: the model is one of images of shape {tuple(model.data_shape)} in {model.levels} levels"
            f"{of_classes}; {data} are others."
        )
    same = fingerprint(data) == card["fingerprint"] if "fingerprint" in card else options.data in (None, card["data"])
    known = Score.from_card(card[options.part], options.checkpoint) if card.get(options.part) else None
    images = options.images if options.images is not None else known.images if known and same else None
    draws = options.draws if options.draws is not None else known.draws if known else 1
    own_seed = seed_of(card)
    seed = own_seed if options.seed is None else options.seed
    result = score(model, getattr(data, options.part), classes, draws, images, seed)
    print(f"{options.part}: {result}")
    if known is None:
        print(f"not compared: the card says nothing of {options.part} images")
        return 0
    print(f"card: {known}")
    if reason := incomparable(card, options.part, result, known, same):
        print(f"not compared: {reason}")
        return 0
    other_noise = (seed, draws) != (own_seed, known.draws)
    chance = ROUNDING + (chance_of_noise(result, known) if other_noise else 0.0)
    agrees = abs(result.bits_per_dim - known.bits_per_dim) <= chance
    print(f"{'reproduced' if agrees else 'NOT reproduced'}: a difference up to {chance:.4f} is chance")
    return 0 if agrees else 1


def incomparable(card: Card, part: str, result: Score, known: Score, same: bool) -> str:
    """Why a score cannot be held against the known one of the card; nothing where it can."""
    if not same:
        return "these are other images, which may be easier or harder"
    if result.images != known.images:
        return f"these are the first {result.images:,} of {known.images:,} images, which may be easier or harder"
    if part == "validation" and "--storage" in card.get("command", ""):
        return "the card's are the bits of the weights before they were stored with fewer digits"
    return ""


def chance_of_noise(one: Score, other: Score) -> float:
    """By how many bits the same images may differ from seed to seed: four standard errors of what the draws do."""
    of_a_draw = [each.noise * math.sqrt(each.draws) for each in (one, other) if not math.isnan(each.noise)]
    if not of_a_draw:  # a single draw knows nothing of it, nor does an older card: then as of other images
        return other.error
    return 4.0 * of_a_draw[0] * math.sqrt(1 / one.draws + 1 / other.draws)


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
    exact_convolutions()
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
        print(f"stopped{last_checkpoint(options)}", file=sys.stderr)
        return INTERRUPTED


def last_checkpoint(options: argparse.Namespace) -> str:
    """How a run goes on that was stopped outside its steps."""
    if options.command == "train" and (folder_of(options, vars(options)) / "scale-0" / "fit.json").exists():
        return "; the same command goes on from there"
    if options.command != "train" or not (folder_of(options, vars(options)) / "training.json").exists():
        return ""
    return "; the same command with --resume goes on from the last checkpoint"


if __name__ == "__main__":
    sys.exit(main())
