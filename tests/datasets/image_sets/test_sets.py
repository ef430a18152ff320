"""Image sets: the right pixels in the right part."""

import pytest
import torch

from flowlib.datasets import images
from tests.datasets.image_sets.published import TEST, archive, check_mnist, publish, put, real_digits


def test_digits():
    found = images.digits()
    parts = (found.train, found.validation, found.test)
    assert [len(part) for part in parts] == [1257, 180, 360] and found.levels == 17
    pixels, labels = torch.cat([part.images for part in parts]), torch.cat([part.labels for part in parts])
    assert pixels.shape == (1797, 1, 8, 8) and pixels.dtype == torch.uint8 and pixels.max() == 16
    rows = torch.cat([pixels.flatten(1), labels[:, None]], 1).tolist()
    assert sorted(rows) == sorted([*x.ravel().tolist(), y] for x, y in zip(*real_digits(), strict=True))
    assert all(part.labels.bincount().min() > 0.07 * len(part) for part in parts)  # every digit, in every part
    assert images.digits().train.images.equal(found.train.images)


def test_mnist_is_split_in_the_order_of_its_files(data, mnist):
    put(data, images.MNIST, mnist)
    check_mnist(images.mnist())
    assert repr(images.mnist()) == "mnist: 50 + 10 + 15 images of 1 × 8 × 8, 256 levels"


def test_fashion_mnist_has_files_of_its_own(data, mnist, monkeypatch):
    monkeypatch.setattr(images, "FASHION_MNIST", publish(images.FASHION_MNIST, mnist))
    put(data, images.FASHION_MNIST, mnist)
    assert images.fashion_mnist().name == "fashion_mnist" and len(images.fashion_mnist().validation) == 10
    with pytest.raises(ConnectionError, match="mnist/train-images"):
        images.mnist()


@pytest.mark.parametrize("form", ["archive", "unpacked"])
def test_cifar10(form, data, cifar10):
    if form == "archive":
        put(data, images.CIFAR10, {images.ARCHIVE: archive(cifar10)})
    else:
        put(data, images.CIFAR10_UNPACKED, cifar10)
    found = images.cifar10()
    assert repr(found) == "cifar10: 45 + 5 + 15 images of 3 × 32 × 32, 256 levels"
    pixels, labels = real_digits()
    for part, rows in ((found.train, range(45)), (found.validation, range(45, 50)), (found.test, TEST)):
        assert part.labels.equal(torch.from_numpy(labels[rows]).long()) and part.images.dtype == torch.uint8
        for channel in range(3):
            expected = torch.from_numpy(pixels[rows]) * (channel + 1)
            assert part.images[:, channel, :8, :8].equal(expected) and not part.images[:, :, 8:].any()


def test_cifar10_takes_fewer_batches_where_asked(data, cifar10):
    put(data, images.CIFAR10_UNPACKED, {name: cifar10[name] for name in ("data_batch_1", "test_batch")})
    assert repr(images.cifar10(batches=1)) == "cifar10 (1 of 5 batches): 9 + 1 + 15 images of 3 × 32 × 32, 256 levels"
    with pytest.raises(ConnectionError) as error:
        images.cifar10(batches=2)
    words = "cifar-10-batches-py holds data_batch_1, test_batch; data_batch_2 would be needed as well."
    assert error.value.__notes__ == [words]


@pytest.mark.parametrize("batches", [0, 6, 2.0, True])
def test_cifar10_has_five_batches(batches, data):
    with pytest.raises(ValueError, match=r"images\.cifar10: batches must be "):
        images.cifar10(batches)
