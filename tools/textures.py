"""A folder of pictures to try `flowlib train --data` on: colour textures of 64 × 64 pixels, a folder for each kind.

    python -m tools.textures FOLDER [--n 300]

Stripes, checks, dots and clouds in random colours, by a fixed seed. Offline, in seconds.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 64
Generator = np.random.Generator


def waves(x: np.ndarray, y: np.ndarray, draw: Generator) -> np.ndarray:
    """Stripes in one direction."""
    angle, count = draw.uniform(0, np.pi), draw.uniform(2, 7)
    return 0.5 + 0.5 * np.sin(2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle)) + draw.uniform(0, 6))


def checks(x: np.ndarray, y: np.ndarray, draw: Generator) -> np.ndarray:
    """A board."""
    count, at = draw.integers(2, 6), draw.uniform(0, 1, 2)
    return ((np.floor(count * x + at[0]) + np.floor(count * y + at[1])) % 2).astype(float)


def dots(x: np.ndarray, y: np.ndarray, draw: Generator) -> np.ndarray:
    """Soft dots at random places."""
    places = draw.uniform(0, 1, (draw.integers(4, 12), 2))
    distance = np.min([(x - a) ** 2 + (y - b) ** 2 for a, b in places], axis=0)
    return np.exp(-distance / (2 * draw.uniform(0.04, 0.1) ** 2))


def clouds(x: np.ndarray, y: np.ndarray, draw: Generator) -> np.ndarray:
    """Noise of many sizes: a random spectrum that falls with the frequency."""
    frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None, :])
    spectrum = np.fft.fft2(draw.normal(size=(SIDE, SIDE))) / np.maximum(frequency, 1 / SIDE) ** 1.5
    field = np.fft.ifft2(spectrum).real
    return (field - field.min()) / np.ptp(field)


KINDS: tuple[Callable[..., np.ndarray], ...] = (waves, checks, dots, clouds)


def texture(kind: Callable[..., np.ndarray], draw: Generator) -> np.ndarray:
    """(64, 64, 3) uint8: a pattern between two colours, with a little grain."""
    x, y = np.meshgrid(np.linspace(0, 1, SIDE), np.linspace(0, 1, SIDE))
    pattern = kind(x, y, draw)[..., None]
    dark, light = draw.uniform(0, 0.5, 3), draw.uniform(0.5, 1, 3)
    colours = (1 - pattern) * dark + pattern * light + draw.normal(0, 0.02, (SIDE, SIDE, 3))
    return (255 * colours.clip(0, 1)).round().astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--n", type=int, default=300, help="pictures of each kind (300)")
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    for kind in KINDS:
        folder = options.folder / kind.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for i in range(options.n):
            Image.fromarray(texture(kind, draw)).save(folder / f"{i:04d}.png")
    print(f"{len(KINDS) * options.n} pictures in {options.folder}")


if __name__ == "__main__":
    main()
