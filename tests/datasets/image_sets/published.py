"""A small MNIST and a small CIFAR-10, of real digits and in the published form."""

import gzip
import hashlib
import io
import struct
import tarfile
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from flowlib.datasets import images

TRAIN, TEST = range(60), range(60, 75)
FIRST = "train-images-idx3-ubyte.gz"
NOWHERE = "http://127.0.0.1:9/"  # the port at which nobody answers


@cache
def real_digits():
    """Images (n, 8, 8) and labels (n,), uint8."""
    found = pytest.importorskip("sklearn.datasets").load_digits()
    return found.images.astype(np.uint8), found.target.astype(np.uint8)


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def batch(rows):
    """Digits as a batch of CIFAR-10, byte for byte as Python 2 wrote such a dictionary, without what is not read."""
    pixels, labels = real_digits()
    data = np.zeros((len(rows), 3, 32, 32), np.uint8)
    data[:, :, :8, :8] = pixels[rows, None] * np.array([1, 2, 3], np.uint8)[:, None, None]
    parts = [b"\x80\x02}(U\x06labels](", b"".join(b"K" + bytes([label]) for label in labels[rows]), b"eU\x04data"]
    parts += [b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K", bytes([len(rows)])]
    parts += [b"M\x00\x0ctcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"]
    return b"".join([*parts, b"\x89T", struct.pack("<I", data.nbytes), data.tobytes(), b"tbu."])


def archive(batches):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in reversed(batches.items()):
            member = tarfile.TarInfo(f"{images.UNPACKED}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


def publish(source, contents, *mirrors):
    """The same data set with other files."""
    entries = {name: (len(content), hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
    return replace(source, files=entries, mirrors=mirrors)


def put(base, source, contents):
    (base / source.folder).mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (base / source.folder / name).write_bytes(content)


def names(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def check_mnist(found):
    pixels, labels = real_digits()
    assert (found.name, found.levels, found.shape) == ("mnist", 256, (1, 8, 8))
    for part, rows in ((found.train, TRAIN[:50]), (found.validation, TRAIN[50:]), (found.test, TEST)):
        assert part.images.dtype == torch.uint8 and part.images.is_contiguous() and part.labels.dtype == torch.int64
        assert part.images.equal(torch.from_numpy(pixels[rows, None]))
        assert part.labels.equal(torch.from_numpy(labels[rows]).long()) and len(part) == len(rows)
