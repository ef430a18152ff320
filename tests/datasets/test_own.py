"""Images of one's own: folders of pictures as people have them, arrays, and what is wrong with them in words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowlib.datasets.own import fingerprint, own_images


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


GREY = np.zeros((12, 4, 4), np.uint8)
BAD = [
    (lambda p: p / "none", "neither a folder of pictures nor a .npy or .npz file"),
    (lambda p: p, "holds no pictures (.png, .jpg"),
    (lambda p: many(p, 3), "holds 3 images; at least 10 are needed"),
    (lambda p: (many(p), picture(p / "x.png", (9, 8)), p)[-1], "several sizes, 8 × 8 and 9 × 8 (0.png, x.png)"),
    (lambda p: (many(p), picture(p / "sub" / "x.png"), p)[-1], "beside folders of pictures (sub)"),
    (broken, "5.png cannot be read as a picture"),
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
