"""The whole sets, where they are: as many images as published, and their mean."""

import importlib.util
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from flowlib.datasets import images
from tests.datasets.image_sets.published import FIRST, put


def have(name):
    return (Path(os.environ.get("FLOWLIB_DATA") or "nowhere") / name).is_file()


def check_large(found, parts, shape, mean):
    assert tuple(len(part) for part in (found.train, found.validation, found.test)) == parts and found.shape == shape
    for part in (found.train, found.validation, found.test):
        assert part.images.dtype == torch.uint8 and part.images.is_contiguous() and len(part.images) == len(part)
        assert part.labels.bincount().shape == (10,)
        assert part.labels.bincount().min() > 0.08 * len(part)
    pixels = torch.cat([found.train.images, found.validation.images])
    assert torch.allclose(
        pixels.transpose(0, 1).flatten(1).double().mean(1) / 255, torch.tensor(mean).double(), atol=5e-5
    )


@pytest.mark.skipif(not have(f"mnist/{FIRST}"), reason="FLOWLIB_DATA has no MNIST")
def test_the_whole_mnist():
    found = images.mnist()
    check_large(found, (50_000, 10_000, 10_000), (1, 28, 28), [0.1307])
    assert found.train.labels[:5].tolist() == [5, 0, 4, 1, 9] and found.test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.skipif(not have(f"fashion_mnist/{FIRST}"), reason="FLOWLIB_DATA has no Fashion-MNIST")
def test_the_whole_fashion_mnist():
    check_large(images.fashion_mnist(), (50_000, 10_000, 10_000), (1, 28, 28), [0.2860])


@pytest.mark.skipif(
    not have(f"cifar10/{images.ARCHIVE}") and not have(f"cifar10/{images.UNPACKED}/data_batch_5"),
    reason="FLOWLIB_DATA has no CIFAR-10 in its published form",
)
def test_the_whole_cifar10():
    check_large(images.cifar10(), (45_000, 5_000, 10_000), (3, 32, 32), [0.4914, 0.4822, 0.4465])


@pytest.mark.skipif(not have("cifar10/test_batch.med.xz"), reason="FLOWLIB_DATA has no packed batch of CIFAR-10")
def test_a_published_batch_of_cifar10(tmp_path, monkeypatch):
    """The real test batch, written as published by the program that lies beside it, is read; here also as batch 1."""
    spec = importlib.util.spec_from_file_location("codec", Path(os.environ["FLOWLIB_DATA"], "cifar10/cifar10_codec.py"))
    spec.loader.exec_module(codec := importlib.util.module_from_spec(spec))
    pixels, known = codec.load_batch("test_batch"), np.load(Path(codec.HERE, "cifar10_labels_names.npz"))
    title, file_names = b"testing batch 1 of 1", [bytes(name) for name in known["test_names"]]
    content = codec._pickle(title, known["test_labels"], pixels.transpose(0, 3, 1, 2).tobytes(), file_names)
    entry = images.CIFAR10_UNPACKED.files["test_batch"]
    source = replace(images.CIFAR10_UNPACKED, files={"data_batch_1": entry, "test_batch": entry})
    monkeypatch.setattr(images, "CIFAR10_UNPACKED", source)
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    put(tmp_path, source, dict.fromkeys(source.files, content))
    found = images.cifar10(batches=1)
    check_large(found, (9_000, 1_000, 10_000), (3, 32, 32), [0.4942, 0.4851, 0.4504])
    assert found.test.images.permute(0, 2, 3, 1).equal(torch.from_numpy(pixels))
