"""Image sets of one's own: a folder of pictures, or an array in a .npy or .npz file, split in three by a fixed draw.

    folder/*.png, *.jpg, ...           pictures without classes
    folder/CLASS/*.png, ...            one folder a class, in alphabetical order
    images.npy                         whole numbers 0 to 255, (n, H, W), (n, H, W, C) or (n, C, H, W), C = 1 or 3
    images.npz                         the same as "images", or alone in the file, and "labels" (n,) if there are any

Pictures are grey if all of them are, else they are red, green and blue. They must have one size, or `size` says to
which square they shall be brought: the largest square in the middle of each, made so large.
"""

import hashlib
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch

from flowlib.datasets.images import ImageSet, Split
from flowlib.support.checks import check_count

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PARTS = (0.8, 0.1)  # of the images for training and for validation; the rest is for the test
FEWEST = 10
LEVELS = 256


def own_images(path: str | Path, size: int | None = None) -> ImageSet:
    """The images at a path: 80 % for training, 10 % for validation, 10 % for the test, in 256 levels.

    Args:
        path: a folder of pictures, with or without a folder for each class; or a .npy or .npz file.
        size: the side of the square that each is cropped and scaled to, in pixels; None: they are of one size.

    Raises:
        FileNotFoundError: there is nothing, or there are no pictures.
        ValueError: sizes differ and `size` is not given; an array of another kind; fewer than ten images.
    """
    path = Path(path).expanduser()
    if size is not None:
        check_count("own images", "size", size)
    if path.is_dir():
        images, labels = from_folder(path, size)
    elif path.suffix in (".npy", ".npz") and path.is_file():
        images, labels = from_array(path, size)
    else:
        raise FileNotFoundError(
            f"{path} is neither a folder of pictures nor a .npy or .npz file. Name one of these, or a data set."
        )
    if len(images) < FEWEST:
        raise ValueError(f"{path} holds {len(images)} images; at least {FEWEST} are needed, some of them held out.")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    cuts = [round(PARTS[0] * len(images)), round((PARTS[0] + PARTS[1]) * len(images))]
    cuts[1] = max(cuts[1], cuts[0] + 1)
    parts = [order[: cuts[0]], order[cuts[0] : cuts[1]], order[cuts[1] :]]
    pixels, classes = torch.from_numpy(images), torch.from_numpy(labels)
    return ImageSet(path.stem, LEVELS, *(Split(pixels[rows], classes[rows]) for rows in parts))


def fingerprint(data: ImageSet) -> str:
    """A short hash of all pixels: whether two image sets are the same."""
    digest = hashlib.sha256()
    for part in (data.train, data.validation, data.test):
        digest.update(part.images.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def from_folder(folder: Path, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(n, C, H, W) uint8 and (n,) int64; classes are the folders that hold pictures."""
    classes = [child for child in sorted(folder.iterdir()) if child.is_dir() and pictures(child)]
    found = [(path, 0) for path in pictures(folder)]
    if classes and found:
        raise ValueError(
            f"{folder} holds pictures ({found[0][0].name}) beside folders of pictures ({classes[0].name}). "
            "Put all of them into folders, one a class, or none."
        )
    found = found or [(path, label) for label, child in enumerate(classes) for path in pictures(child)]
    if not found:
        raise FileNotFoundError(f"{folder} holds no pictures ({', '.join(PICTURES)}), nor do the folders in it.")
    images = [opened(path, size) for path, _ in found]
    if any(image.mode == "RGB" for image in images):
        images = [image.convert("RGB") for image in images]
    for (path, _), image in zip(found, images, strict=True):
        if image.size != images[0].size:
            sizes = " and ".join("{} × {}".format(*each.size) for each in (images[0], image))
            raise ValueError(
                f"{folder}: pictures have several sizes, {sizes} ({found[0][0].name}, {path.name}). Say to which "
                "square they shall be brought, e.g. --size 32."
            )
    stacked = np.stack([np.asarray(image) for image in images])  # (n, H, W) or (n, H, W, 3)
    return channels_first(stacked, folder), np.array([label for _, label in found])


def pictures(folder: Path) -> list[Path]:
    """The pictures in a folder, in alphabetical order, without hidden files."""
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in PICTURES and not p.name.startswith("."))


def opened(path: Path, size: int | None):
    """One picture in Pillow's mode L (grey) or RGB, as its camera was held, on white where it is transparent; of it the
    largest square in the middle, size × size pixels, or all where size is None."""
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError("pictures in a folder need Pillow: pip install pillow") from error
    try:
        with Image.open(path) as file:
            picture = ImageOps.exif_transpose(file)
    except OSError as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}. Leave it out.") from None
    if picture.mode[0] in "IF":  # "I;16", for one
        raise ValueError(f"{path} has more than {LEVELS} levels of grey. Save such pictures with 8 bits a pixel.")
    grey = picture.mode in ("1", "L", "LA")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        white = Image.new("RGBA", picture.size, "white")
        white.alpha_composite(picture.convert("RGBA"))
        picture = white
    picture = picture.convert("L" if grey else "RGB")
    if size is None:
        return picture
    side = min(picture.size)
    left, top = ((length - side) // 2 for length in picture.size)
    return picture.crop((left, top, left + side, top + side)).resize((size, size), Image.Resampling.BICUBIC)


def from_array(path: Path, size: int | None) -> tuple[np.ndarray, np.ndarray]:
    """(n, C, H, W) uint8 and (n,) int64."""
    if size is not None:
        raise ValueError(f"{path}: --size is for folders of pictures; an array is taken as it is.")
    arrays = read_arrays(path)
    if "images" not in arrays and len(arrays) != 1:
        raise ValueError(f'{path} holds {", ".join(arrays)}; expected "images", and "labels" if there are any.')
    content, labels = arrays["images"] if "images" in arrays else next(iter(arrays.values())), arrays.get("labels")
    numbers = content.dtype.kind in "biuf" and content.size > 0
    if content.dtype.kind not in "iu" or not numbers or content.min() < 0 or content.max() >= LEVELS:
        span = f" from {content.min():g} to {content.max():g}" if numbers else ""
        raise ValueError(f"{path}: expected whole numbers 0 to {LEVELS - 1}; got {content.dtype}{span}.")
    images = channels_first(content, path)
    labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
    if labels.shape != (len(images),) or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise ValueError(
            f"{path}: labels must be whole numbers from 0, one for each of {len(images)} images; got shape "
            f"{labels.shape} of {labels.dtype}."
        )
    return images, labels.astype(np.int64)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """What a .npy or .npz file holds, by name; a pickle in it is not opened."""
    try:
        with path.open("rb") as file:
            content = np.load(file, allow_pickle=False)
            return {"images": content} if isinstance(content, np.ndarray) else dict(content)
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as an array: {error}.") from None


def channels_first(images: np.ndarray, path: Path) -> np.ndarray:
    """(n, H, W), (n, H, W, C) or (n, C, H, W) -> (n, C, H, W) uint8."""
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim == 4 and images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            f"{path}: expected images (n, H, W), (n, H, W, C) or (n, C, H, W) with 1 or 3 channels; got {images.shape}."
        )
    return np.ascontiguousarray(images, dtype=np.uint8)
