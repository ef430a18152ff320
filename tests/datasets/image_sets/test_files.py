"""Words instead of a traceback for a file that is not as it should be, or not there."""

import gzip
import hashlib
import os
import pickle
from dataclasses import replace

import numpy as np
import pytest

from flowlib.datasets import files, images
from tests.datasets.image_sets.published import (
    FIRST,
    NOWHERE,
    check_mnist,
    idx,
    names,
    publish,
    put,
)


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_a_truncated_file_is_refused_by_name(name, data, mnist):
    put(data, images.MNIST, mnist | {name: mnist[name][:-7]})
    size = len(mnist[name])
    with pytest.raises(ValueError) as error:
        images.mnist()
    assert str(error.value).startswith(f"{data / 'mnist' / name} is not the published file: it has {size - 7:,} bytes,")
    assert f"{size:,} are published" in str(error.value) and "Delete it" in str(error.value)
    assert (data / "mnist" / name).is_file()


def test_an_altered_file_is_refused_by_name(data, mnist, cifar10):
    altered = bytearray(mnist[FIRST])
    altered[-20] ^= 1
    put(data, images.MNIST, mnist | {FIRST: bytes(altered)})
    with pytest.raises(
        ValueError, match=f"{FIRST} is not the published file: its hash is [0-9a-f]{{64}}, and [0-9a-f]"
    ):
        images.mnist()
    put(data, images.CIFAR10_UNPACKED, cifar10 | {"data_batch_3": cifar10["data_batch_3"].replace(b"u1", b"i1")})
    with pytest.raises(ValueError, match="data_batch_3 is not the published file: its hash is"):
        images.cifar10()


def test_the_hash_may_be_of_another_kind(data, mnist):
    digest = hashlib.md5(mnist[FIRST]).hexdigest()
    source = replace(images.MNIST, files={FIRST: (len(mnist[FIRST]), f"md5:{digest}")})
    put(data, source, mnist)
    assert files.read(source, FIRST) == mnist[FIRST]


WRONG = {
    "other magic": (b"\0\0\x0d\x03" + bytes(12), "is no idx file of bytes with 3 sides: it begins with '00 00 0d 03'."),
    "empty": (b"", "is no idx file of bytes with 3 sides: it begins with ''."),
    "head broken off": (b"\0\0\x08\x03\0\0", "is no idx file of bytes with 3 sides: it begins with '00 00 08 03'."),
    "too short": (idx(np.zeros((2, 3, 3), np.uint8))[:-1], "announces 2 × 3 × 3 bytes and has 17."),
    "too long": (idx(np.zeros((2, 3, 3), np.uint8)) + b"0", "announces 2 × 3 × 3 bytes and has 19."),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_idx_file_is_checked_also_where_the_hash_is_right(name, data, mnist, monkeypatch):
    content, message = WRONG[name]
    mnist = mnist | {FIRST: gzip.compress(content)}
    monkeypatch.setattr(images, "MNIST", publish(images.MNIST, mnist))
    put(data, images.MNIST, mnist)
    with pytest.raises(ValueError) as error:
        images.mnist()
    assert str(error.value) == f"{FIRST} {message}"


def test_a_batch_cannot_run_code():
    with pytest.raises(pickle.UnpicklingError, match=r"holds no posix\.system|holds no nt\.system"):
        images.parse_batch(pickle.dumps({"data": os.system, "labels": []}, protocol=2))


def test_offline_the_message_says_what_to_put_where(data, mnist):
    put(data, images.MNIST, {FIRST: mnist[FIRST]})
    with pytest.raises(ConnectionError) as error:
        images.mnist()
    message = str(error.value)
    assert message.startswith("mnist/t10k-images-idx3-ubyte.gz is not on this machine, and the download failed:")
    assert f"{NOWHERE}a/t10k-images-idx3-ubyte.gz cannot be reached" in message and NOWHERE + "b/" in message
    assert f"put them into {data / 'mnist'}, or into mnist/ of another folder" in message and "FLOWLIB_DATA" in message
    for name in mnist.keys() - {FIRST}:
        assert f"  {name} ({len(mnist[name]):,} bytes)\n" in message
    assert f"  {FIRST}" not in message
    assert names(data) == [FIRST]


def test_a_wrong_folder_in_the_variable_is_not_passed_over(data, mnist, monkeypatch):
    monkeypatch.setenv("FLOWLIB_DATA", str(data / "dta"))
    with pytest.raises(FileNotFoundError, match=r"FLOWLIB_DATA names .*dta, which is not a folder"):
        images.mnist()
    assert not (data / "dta").exists()


def test_a_variable_one_level_too_deep_leaves_nothing_behind(data, mnist, monkeypatch):
    put(data, images.MNIST, mnist)
    monkeypatch.setenv("FLOWLIB_DATA", str(data / "mnist"))
    before = sorted(data.rglob("*"))
    check_mnist(images.mnist())  # known by what is in them
    with pytest.raises(ConnectionError, match="is not on this machine, and the download failed"):
        images.fashion_mnist()
    assert sorted(data.rglob("*")) == before


def test_the_variable_is_searched_before_the_cache(data, mnist):
    put(data.parent / "cache", images.MNIST, mnist)
    check_mnist(images.mnist())
    put(data, images.MNIST, {FIRST: b"broken"})
    with pytest.raises(ValueError, match=r"it has 6 bytes"):
        images.mnist()


FORMS = {"packed anew": lambda inside: gzip.compress(inside, 1), "unpacked": lambda inside: inside}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", ["mnist", "MNIST/raw"])
def test_files_are_known_by_what_is_in_them(form, folder, data, mnist, monkeypatch):
    """As torchvision leaves them, or gunzip; FLOWLIB_DATA names any folder on the way."""
    inside = {name: gzip.decompress(content) for name, content in mnist.items()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in inside.items()}
    monkeypatch.setattr(images, "MNIST", replace(images.MNIST, unpacked=hashes))
    (data / folder).mkdir(parents=True)
    for name, content in inside.items():
        end = name if form == "packed anew" else name.removesuffix(".gz")
        (data / folder / end).write_bytes(FORMS[form](content))
    for base in (data, *(data / folder).relative_to(data).parents, folder):
        monkeypatch.setenv("FLOWLIB_DATA", str(data / base))
        check_mnist(images.mnist())


def test_what_is_in_an_altered_file_is_not_what_was_published(data, mnist, monkeypatch):
    inside = gzip.decompress(mnist[FIRST])
    hashes = {FIRST: hashlib.sha256(inside).hexdigest()}
    monkeypatch.setattr(images, "MNIST", replace(images.MNIST, unpacked=hashes))
    for content in (gzip.compress(inside[:-1] + b"?", 1), inside[:-1] + b"?", b"\x1f\x8bno gzip"):
        put(data, images.MNIST, mnist | {FIRST: content})
        with pytest.raises(ValueError, match=f"{FIRST} is not the published file"):
            images.mnist()


def test_packed_anew_to_the_same_size(data, mnist, monkeypatch):
    """Only the time in its head differs."""
    content = bytearray(mnist[FIRST])
    content[4] ^= 1
    hashes = {FIRST: hashlib.sha256(gzip.decompress(mnist[FIRST])).hexdigest()}
    monkeypatch.setattr(images, "MNIST", replace(images.MNIST, unpacked=hashes))
    put(data, images.MNIST, mnist | {FIRST: bytes(content)})
    check_mnist(images.mnist())
