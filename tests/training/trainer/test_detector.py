"""`flowlib train --model fast_flow` and `flowlib evaluate` on a folder in the layout of MVTec AD."""

import csv
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from flowlib import load
from flowlib.__main__ import main
from flowlib.datasets import textures
from flowlib.training import fit, read_detector
from flowlib.training.detector import dealt


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 30 normal tiles to learn from, and of some with and without a defect to judge by."""
    folder, data = tmp_path_factory.mktemp("pictures") / "tiles", textures(tiles=24, defective=6, seed=1)
    normal, broken = (~data.anomalous).nonzero().flatten(), data.anomalous.nonzero().flatten()
    for k, row in enumerate(normal[:38].tolist()):
        keep(data.images[row, 0], folder / ("train/good" if k < 30 else "test/good") / f"{k:03d}.png")
    for row in broken[:10].tolist():
        kind = data.kinds[data.labels[row]]
        keep(data.images[row, 0], folder / "test" / kind / f"{row:03d}.png")
        keep(255 * data.masks[row].byte(), folder / "ground_truth" / kind / f"{row:03d}_mask.png")
    return folder


def keep(pixels: torch.Tensor, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)


def words(tiles: Path, out: Path, *more: str) -> list[str]:
    small = ["--steps", "60", "--lr", "0.01", "--set", "couplings=2", "width=8"]
    return ["train", "--data", str(tiles), "--model", "fast_flow", "--out", str(out), *small, *more]


@pytest.fixture(scope="module")
def run(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "tiles"
    assert main(words(tiles, out)) == 0
    return out


def test_it_is_judged_with_a_table_and_a_heat_map_of_each_picture(tiles: Path, run: Path, capsys) -> None:
    assert main(["evaluate", str(run)]) == 0
    said = capsys.readouterr().out
    assert "of 10 defective pictures found" in said and "of 8 good ones" in said
    assert all(name in said for name in ("image AUROC", "pixel AUROC", "AU-PRO"))
    with open(run / "evaluation" / "scores.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18 and {row["kind"] for row in rows} > {"good"}
    pictures = sorted(path.relative_to(run / "evaluation" / "heat") for path in run.rglob("evaluation/heat/*/*.png"))
    assert [str(path) for path in pictures] == sorted(row["picture"].removeprefix("test/") for row in rows)
    threshold = read_detector(run)[2]["threshold"]
    assert all((float(row["score"]) > threshold) == (row["alarm"] == "1") for row in rows)
    area = float(next(line for line in said.splitlines() if line.startswith("image AUROC")).split()[2])
    assert area > 0.7


def test_intervals_and_held_out_pictures_are_of_whole_objects(tiles: Path, run: Path, tmp_path: Path, capsys) -> None:
    assert main(["evaluate", str(run)]) == 0
    assert "over pictures, each an object of its own" in capsys.readouterr().out
    shutil.copytree(tiles, tmp_path / "tiles")
    names = [path.relative_to(tiles).as_posix() for part in ("train", "test") for path in (tiles / part).rglob("*.png")]
    lines = [f"{name},{int(Path(name).stem) // 4 if name.startswith('test') else Path(name).stem}\n" for name in names]
    (tmp_path / "tiles" / "groups.csv").write_text("".join(lines))
    assert main(["evaluate", str(run), "--data", str(tmp_path / "tiles")]) == 0
    objects = len({line.split(",")[1] for line in lines if line.startswith("test")})
    assert f"over the {objects} objects of groups.csv" in capsys.readouterr().out
    held, own = dealt(torch.arange(100, 160), torch.arange(60) // 4, seed=0)
    assert len(held) == 12 and not set(((held - 100) // 4).tolist()) & set(((own - 100) // 4).tolist())
    with pytest.raises(ValueError, match="2 objects are too few"):
        dealt(torch.arange(14), torch.arange(14) // 7, seed=0)


def test_the_same_command_gives_the_same_detector(tiles: Path, run: Path, tmp_path: Path) -> None:
    assert main(words(tiles, tmp_path)) == 0
    one, other = read_detector(run), read_detector(tmp_path)
    assert one[2]["threshold"] == other[2]["threshold"]
    assert all(torch.equal(a, b) for a, b in zip(one[0].parameters(), other[0].parameters(), strict=True))


def test_a_run_that_was_stopped_goes_on(tiles: Path, run: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    calls = []

    def stopped(flow, *args, **kwargs):
        calls.append(flow)
        history = fit(flow, *args, **kwargs)
        history.stopped = "stopped by hand after 60 of 60 steps" if len(calls) == 1 else ""
        return history

    monkeypatch.setattr("flowlib.training.detector.fit", stopped)
    assert main(words(tiles, tmp_path)) == 130
    assert "stopped; the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "model.json").exists()
    assert main(words(tiles, tmp_path)) == 0
    assert read_detector(run)[2]["threshold"] == read_detector(tmp_path)[2]["threshold"]


def test_good_pictures_alone_have_no_areas(tiles: Path, run: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(tiles / "train", tmp_path / "train")
    shutil.copytree(tiles / "test" / "good", tmp_path / "test" / "good")
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 0
    assert "no areas under curves" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            ["--dequantize", "variational"],
            "fast_flow takes data, size, arguments, steps, batch, lr, clip, seed; got",
        ),
        (["--set", "depth=3"], "fast_flow takes couplings, width, features, quantile; got depth"),
        (["--set", "features=vgg"], "features must be one of 'texture', 'efficientnet_lite0'; got 'vgg'"),
        (["--set", "quantile=95"], "quantile must be above 0 and below 1; got 95"),
        (["--steps", "0"], "steps must be a whole number, 1 or more; got 0"),
    ],
)
def test_a_wrong_setting_is_named(tiles: Path, tmp_path: Path, capsys, more: list[str], expected: str) -> None:
    assert main(words(tiles, tmp_path / "run", *more)) == 2
    assert expected in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_a_folder_without_normal_pictures_or_with_few(tiles: Path, tmp_path: Path, capsys) -> None:
    shutil.copytree(tiles / "test", tmp_path / "none" / "test")
    assert main(words(tmp_path / "none", tmp_path / "run")) == 2
    assert "holds no normal images" in capsys.readouterr().err
    for path in sorted((tiles / "train" / "good").iterdir())[:4]:
        keep(torch.zeros(64, 64, dtype=torch.uint8), tmp_path / "none" / "train" / "good" / path.name)
    shutil.copytree(tiles / "ground_truth", tmp_path / "none" / "ground_truth")
    assert main(words(tmp_path / "none", tmp_path / "run")) == 2
    assert "train/good holds 4 pictures; 20 are needed" in capsys.readouterr().err


def test_other_commands_say_what_it_is(run: Path, capsys) -> None:
    assert main(["sample", str(run)]) == 2
    assert "holds a detector of defects" in capsys.readouterr().err
    with pytest.raises(ValueError, match="read_detector"):
        load(run)
    with pytest.raises(ValueError, match="holds no detector but a model of glow"):
        read_detector(Path(__file__).parents[3] / "flowlib/models/trained/digits-glow")
