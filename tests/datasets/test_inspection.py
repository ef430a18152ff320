"""Inspection data: generated textures, a folder in the layout of MVTec AD, splits by object, and bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from flowlib.datasets import magnetic_tiles, mvtec, scratch, split_by_group, textures


def picture(path: Path, size: tuple[int, int] = (16, 16), level: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size[::-1], level, np.uint8)).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    for k in range(3):
        picture(tmp_path / "train" / "good" / f"{k}.png")
    picture(tmp_path / "test" / "good" / "0.png")
    picture(tmp_path / "test" / "crack" / "7.png")
    picture(tmp_path / "ground_truth" / "crack" / "7_mask.png", level=255)
    return tmp_path


def test_textures_are_the_same_for_a_seed_and_masks_are_where_defects_are() -> None:
    data, again = textures(6, 3, seed=4), textures(6, 3, seed=4)
    assert torch.equal(data.images, again.images) and not torch.equal(data.images, textures(6, 3, seed=5).images)
    assert torch.equal(data.masks.flatten(1).any(1), data.anomalous)
    assert data.groups.bincount().tolist() == [4] * 6


def test_a_scratch_is_bright_on_its_line_alone() -> None:
    image, mask = scratch(torch.zeros(32, 32), (8.0, 8.0), (24.0, 8.0))
    assert image[8, 16] == pytest.approx(0.3) and image[20].max() < 1e-9
    assert mask[8, 8:25].all() and not mask[12:].any()


def test_a_split_keeps_objects_whole_and_trains_on_clean_ones() -> None:
    data = textures(20, 6)
    parts = split_by_group(data)
    assert (sum(part.int() for part in parts) == 1).all()
    groups = [set(data.groups[part].tolist()) for part in parts]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert not data.anomalous[parts[0] | parts[1]].any()
    with pytest.raises(ValueError, match="three objects without a defect"):
        split_by_group(textures(3, 2))
    with pytest.raises(ValueError, match="sum below 1"):
        split_by_group(data, (0.6, 0.5))


def test_the_layout_of_mvtec(folder) -> None:
    data = mvtec(folder)
    assert data.kinds == ("good", "crack") and data.images.shape == (5, 1, 16, 16)
    assert data.train.tolist() == [True] * 3 + [False] * 2
    assert data.masks.flatten(1).all(1).tolist() == data.anomalous.tolist()


def test_a_folder_says_which_images_show_one_object(folder) -> None:
    names = mvtec(folder).names
    (folder / "groups.csv").write_text("picture,object\n" + "".join(f"{name},tile {len(name) % 2}\n" for name in names))
    groups = mvtec(folder).groups
    assert len(groups.unique()) == len({len(name) % 2 for name in names})
    assert all((groups[i] == groups[0]) == (len(name) % 2 == len(names[0]) % 2) for i, name in enumerate(names))
    (folder / "groups.csv").write_text(f"{names[0]},one\n")
    with pytest.raises(ValueError, match=f"has no line for {len(names) - 1} images, the first is {names[1]}"):
        mvtec(folder)


def test_a_folder_that_is_not_as_it_should_be(folder) -> None:
    picture(folder / "ground_truth" / "crack" / "7_mask.png", size=(16, 12))
    with pytest.raises(ValueError, match=r"is 16 × 12 and its image 16 × 16"):
        mvtec(folder)
    (folder / "ground_truth" / "crack" / "7_mask.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"its mask .* is not there"):
        mvtec(folder)
    picture(folder / "ground_truth" / "crack" / "7_mask.png")
    picture(folder / "test" / "good" / "1.png", size=(20, 16))
    with pytest.raises(ValueError, match=r"several sizes, 16 × 16 and 20 × 16 \(1.png\)"):
        mvtec(folder)


def test_a_folder_without_normal_images(tmp_path, folder) -> None:
    for path in (folder / "train" / "good").iterdir():
        path.unlink()
    with pytest.raises(FileNotFoundError, match="holds no normal images"):
        mvtec(folder)


def test_tiles_need_their_folder(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="FLOWLIB_DATA"):
        magnetic_tiles()
