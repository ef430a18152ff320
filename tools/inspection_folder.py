"""A folder to try `flowlib train --model fast_flow` on, in the layout of MVTec AD, with its groups.csv.

    python -m tools.inspection_folder FOLDER            generated textures, offline, in seconds
    python -m tools.inspection_folder FOLDER --tiles    the magnetic tiles; needs FLOWLIB_DATA

Of the objects without a defect seven tenths are in train/good. All others are in test, whole, as on notebook 11a.
"""

import argparse
from pathlib import Path

from PIL import Image
from torch import Tensor

from flowlib.datasets import Inspection, magnetic_tiles, split_by_group, textures


def keep(pixels: Tensor, path: Path) -> None:
    """Write grey pixels (H, W), uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.numpy()).save(path)


def write_folder(data: Inspection, folder: Path) -> None:
    """Pictures, masks of the defects, and which object each picture shows."""
    test, lines = split_by_group(data, parts=(0.6, 0.1))[2], []
    for k, image in enumerate(data.images):
        kind = data.kinds[data.labels[k]]
        name = f"{'test' if test[k] else 'train'}/{kind}/{k:04d}.png"
        keep(image[0], folder / name)
        if data.anomalous[k]:
            keep(255 * data.masks[k].byte(), folder / "ground_truth" / kind / f"{k:04d}_mask.png")
        lines.append(f"{name},{data.groups[k]}\n")
    (folder / "groups.csv").write_text("".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiles", action="store_true", help="the magnetic tiles, not generated textures")
    options = parser.parse_args()
    data = magnetic_tiles() if options.tiles else textures(tiles=120, defective=40)
    write_folder(data, options.folder)
    print(f"{len(data)} pictures in {options.folder}")


if __name__ == "__main__":
    main()
