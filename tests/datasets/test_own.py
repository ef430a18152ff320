"""Images of one's own: folders of pictures as people have them, arrays, and what is wrong with them in words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowlib.datasets.own import fingerprint, opened, own_images
from flowlib.training.evaluation import classes_of


def picture(path: Path, size: tuple[int, int] = (8, 8), colour: int | tuple = 100, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


def many(folder: Path, n: int = 20, **options) -> Path:
    for i in range(n):
        picture(folder / f"{i}.png", colour=i, **options)
    return folder


def test_a_folder_of_grey_pictures(tmp_path: Path) -> None:
    data = own_images(many(tmp_path / "photos"))
    assert repr(data) == "photos: 16 + 2 + 2 images of 1 × 8 × 8, 256 levels"
    shades = torch.cat([part.images[:, 0, 0, 0] for part in (data.train, data.validation, data.test)])
    assert sorted(shades.tolist()) == list(range(20)) and not data.train.labels.any()
    assert torch.equal(own_images(tmp_path / "photos").test.images, data.test.images)


def test_a_folder_for_each_class_in_colour(tmp_path: Path) -> None:
    many(tmp_path / "b"), picture(tmp_path / "a" / "x.JPG", colour=(255, 0, 0), mode="RGB")
    data = own_images(tmp_path)
    assert tuple(data.shape) == (3, 8, 8)
    labels = torch.cat([part.labels for part in (data.train, data.validation, data.test)])
    assert labels.bincount().tolist() == [1, 20]


def test_pictures_of_any_size_are_cropped_in_the_middle(tmp_path: Path) -> None:
    for i in range(10):
        picture(tmp_path / f"{i}.png", (40 + i, 30), 7)
    wide = Image.new("L", (30, 10), 0)
    wide.paste(200, (10, 0, 20, 10))
    wide.save(tmp_path / "wide.png")
    data = own_images(tmp_path, size=5)
    means = torch.cat([p.images.flatten(1).float().mean(1) for p in (data.train, data.validation, data.test)])
    assert tuple(data.shape) == (1, 5, 5) and sorted(means.round().tolist()) == [7.0] * 10 + [200.0]


def pixels(path: Path, size: int | None = None) -> np.ndarray:
    return np.asarray(opened(path, size))


def test_a_picture_as_people_have_them(tmp_path: Path) -> None:
    """A camera that was held on its side, what is transparent, a palette; only as large as asked for."""
    turned = Image.Exif()
    turned[0x0112] = 6  # the top of the scene is at the right
    picture = Image.new("RGB", (16, 8), "black")
    picture.paste("white", (8, 0, 16, 8))
    picture.save(tmp_path / "camera.png", exif=turned)
    shown = pixels(tmp_path / "camera.png")
    assert shown.shape == (16, 8, 3) and not shown[:8].any() and shown[8:].all()
    Image.new("RGBA", (4, 4), (0, 0, 0, 0)).save(tmp_path / "icon.png")
    Image.new("LA", (4, 4), (7, 255)).save(tmp_path / "grey.png")
    Image.new("RGB", (4, 4), (9, 8, 7)).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.gif")
    assert pixels(tmp_path / "icon.png").min() == 255
    assert pixels(tmp_path / "grey.png").tolist() == [[7] * 4] * 4
    assert pixels(tmp_path / "palette.gif")[0, 0].tolist() == [9, 8, 7]
    assert opened(tmp_path / "camera.png", 3).size == (3, 3)  # and not cut and scaled when all are in memory


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    many(tmp_path)
    (tmp_path / "._0.png").write_bytes(b"what macOS writes beside a picture")
    assert len(own_images(tmp_path).train) == 16


def test_a_rare_class_may_be_missing_among_the_images_for_training(tmp_path: Path) -> None:
    labels = np.zeros(20, int)
    data = own_images(many(tmp_path / "photos"))
    held_out = next(i for i in range(20) if i not in data.train.images[:, 0, 0, 0].tolist())
    labels[held_out] = 1
    np.savez(tmp_path / "a.npz", images=np.zeros((20, 4, 4), np.uint8), labels=labels)
    data = own_images(tmp_path / "a.npz")
    assert data.train.labels.max() == 0 and classes_of(data) == 2


ARRAYS = {
    "(n, H, W)": np.zeros((12, 4, 6), np.uint8),
    "(n, H, W, C)": np.zeros((12, 4, 6, 3), np.int64),
    "(n, C, H, W)": np.zeros((12, 3, 4, 6), np.uint8),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", ARRAYS[name])
    data = own_images(tmp_path / "a.npy")
    assert tuple(data.shape) == ((1, 4, 6) if name == "(n, H, W)" else (3, 4, 6)) and len(data.train) == 10
    np.savez(tmp_path / "a.npz", images=ARRAYS[name], labels=np.arange(12) % 3)
    assert own_images(tmp_path / "a.npz").train.labels.max() == 2


def test_a_fingerprint_tells_images_apart(tmp_path: Path) -> None:
    one, same, other = (own_images(many(tmp_path / name)) for name in "abc")
    other.test.images[0, 0, 0, 0] += 1
    assert fingerprint(one) == fingerprint(same) != fingerprint(other)


def bad_array(path: Path, array: np.ndarray, **more: np.ndarray) -> Path:
    np.savez(path / "x.npz", images=array, **more)
    return path / "x.npz"


def broken(path: Path) -> Path:
    many(path)
    (path / "5.png").write_bytes(b"no picture")
    return path


def deep(path: Path) -> Path:
    many(path)
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(path / "deep.png")
    return path


def no_zip(path: Path) -> Path:
    (path / "x.npz").write_bytes(b"PK\x03\x04 and nothing more")
    return path / "x.npz"


GREY = np.zeros((12, 4, 4), np.uint8)
BAD = [
    (lambda p: p / "none", "neither a folder of pictures nor a .npy or .npz file"),
    (lambda p: p, "holds no pictures (.png, .jpg"),
    (lambda p: many(p, 3), "holds 3 images; at least 10 are needed"),
    (lambda p: (many(p), picture(p / "x.png", (9, 8)), p)[-1], "several sizes, 8 × 8 and 9 × 8 (0.png, x.png)"),
    (lambda p: (many(p), picture(p / "sub" / "x.png"), p)[-1], "beside folders of pictures (sub)"),
    (broken, "5.png cannot be read as a picture"),
    (deep, "deep.png has more than 256 levels of grey"),
    (no_zip, "x.npz cannot be read as an array: File is not a zip file"),
    (lambda p: bad_array(p, np.array([None] * 12)), "x.npz cannot be read as an array: Object arrays cannot be loaded"),
    (lambda p: bad_array(p, np.array(["a"] * 12)), "expected whole numbers 0 to 255; got <U1."),
    (lambda p: bad_array(p, GREY / 2), "expected whole numbers 0 to 255; got float64 from 0 to 0"),
    (lambda p: bad_array(p, GREY.astype(int) + 256), "got int64 from 256 to 256"),
    (lambda p: bad_array(p, GREY[0]), "expected images (n, H, W)"),
    (lambda p: bad_array(p, GREY, labels=np.zeros(3, int)), "labels must be whole numbers from 0, one for each of 12"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input(make, message: str, tmp_path: Path) -> None:
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        own_images(make(tmp_path))
    assert message in str(error.value)
