"""Real tables for density estimation, split, standardized, and with the score of one Gaussian as the line to beat.

`wine` comes with scikit-learn. `protein` and `patches` are read from the folder that the environment variable
FLOWLIB_DATA names, where they lie as `tabular/protein_casp.npz` and `tabular/bsds300_like_8x8_patches.npz`.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets.files import DATA_VARIABLE, data_folder


@dataclass(frozen=True, repr=False)
class Table:
    """Rows split in three, each column shifted and scaled to mean 0 and variance 1 on the training part.

    Attributes:
        train, validation, test: rows (n, D), float32.
        mean, scale: what was subtracted and divided by, (D,) float64: original = mean + scale · x.
        baseline: mean log-density of the test rows, in nats, under the Gaussian with the mean and the full
            covariance of the training rows. A flow that models more than correlation has more.
    """

    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    mean: Tensor
    scale: Tensor
    baseline: float

    @property
    def dim(self) -> int:
        return self.train.shape[1]

    def in_original_units(self, log_prob: float | Tensor) -> float | Tensor:
        """A log-density of standardized rows as one of the rows before: less Σ log scale (change of variables)."""
        return log_prob - self.scale.log().sum().item()

    def __repr__(self) -> str:
        rows = " + ".join(str(len(part)) for part in (self.train, self.validation, self.test))
        return f"{self.name}: {rows} rows × {self.dim}, Gaussian baseline {self.baseline:.3f} nats"


def wine() -> Table:
    """Chemistry of 178 wines, 13 columns (UCI; in scikit-learn): 107 + 35 + 36 rows, drawn once by a fixed seed.

    So few rows that a flow overfits within seconds, and one Gaussian is hard to beat.
    """
    try:
        from sklearn.datasets import load_wine
    except ImportError as error:
        raise ImportError("tables.wine needs scikit-learn: pip install scikit-learn") from error
    rows = load_wine().data
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).numpy()
    return _table("wine", *(rows[part] for part in np.split(order, [107, 142])))


def protein() -> Table:
    """Physicochemical properties of protein structures (UCI, CASP 5 to 9): 36,584 + 4,573 + 4,573 rows × 10.

    The split comes with the file.
    """
    with np.load(_find("protein_casp.npz")) as file:
        rows, split = file["X"], file["split"]
    return _table("protein", *(rows[split == part] for part in range(3)))


def patches() -> Table:
    """Patches of 8 × 8 pixels of natural photographs (BSDS): 200,000 + 20,000 + 50,000 rows × 63.

    Uniform noise in [0, 1) is added to the grey values, by fixed seeds; then ÷ 256, less the patch's mean, and the last
    pixel is left out, as it follows from the others. `in_original_units` gives nats as that recipe counts them.

    Paper: Papamakarios, Pavlakou and Murray (2017, arXiv 1705.07057), Masked autoregressive flow, appendix D.
    """
    with np.load(_find("bsds300_like_8x8_patches.npz")) as file:
        parts = [file[part] for part in ("train", "val", "test")]
    return _table("patches", *(_dequantize(part, seed) for seed, part in enumerate(parts)))


def _dequantize(pixels: np.ndarray, seed: int) -> np.ndarray:
    """Grey values (n, 8, 8) -> continuous rows (n, 63)."""
    noise = np.random.default_rng(seed).random((len(pixels), 64), dtype=np.float32)
    rows = (pixels.reshape(-1, 64) + noise) / 256
    rows -= rows.mean(1, keepdims=True)
    return rows[:, :63]


def _find(file: str) -> Path:
    """The path of a table below FLOWLIB_DATA; an error that says what to set where it is missing."""
    if (folder := data_folder()) and (path := folder / "tabular" / file).is_file():
        return path
    found = f"the folder that {DATA_VARIABLE} names does not hold it" if folder else f"{DATA_VARIABLE} is not set"
    raise FileNotFoundError(
        f"tabular/{file}: {found}. Set {DATA_VARIABLE} to a folder that holds tabular/{file} before Python "
        "starts, or take tables.wine(), which needs no file."
    )


def _table(name: str, *parts: np.ndarray) -> Table:
    """Standardize by the first part, and score the last under the Gaussian fitted to the first."""
    train, validation, test = (torch.from_numpy(np.asarray(part, dtype=np.float64)) for part in parts)
    mean, scale = train.mean(0), train.std(0, correction=0)
    train, validation, test = ((part - mean) / scale for part in (train, validation, test))
    return Table(name, train.float(), validation.float(), test.float(), mean, scale, gaussian_baseline(train, test))


def gaussian_baseline(train: Tensor, test: Tensor) -> float:
    """Mean log N(test; mean, covariance of train) in nats: train (n, D), test (m, D)."""
    centre = train.mean(0)
    factor = torch.linalg.cholesky(torch.cov(train.T, correction=0))
    standard = torch.linalg.solve_triangular(factor, (test - centre).T, upper=False)  # (D, m)
    log_det = factor.diagonal().log().sum()
    return (-0.5 * standard.square().sum(0) - log_det - 0.5 * train.shape[1] * math.log(2 * math.pi)).mean().item()
