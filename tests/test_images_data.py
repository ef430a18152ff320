"""Image sets: the right pixels in the right part, and words instead of a traceback for whatever is wrong with a file.

A small MNIST and a small CIFAR-10, of real digits and in the published form, stand in for the large ones; they come
from folders of the test and from a server on this machine. No test needs a connection.
"""

import gzip
import hashlib
import importlib.util
import io
import os
import pickle
import struct
import tarfile
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch

from flowlib.datasets import files, images

TRAIN, TEST = range(60), range(60, 75)
FIRST = "train-images-idx3-ubyte.gz"
NOWHERE = "http://127.0.0.1:9/"  # the port at which nobody answers
load_digits = pytest.importorskip("sklearn.datasets").load_digits


@cache
def real_digits():
    """Images (n, 8, 8) and labels (n,), uint8."""
    return load_digits().images.astype(np.uint8), load_digits().target.astype(np.uint8)


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


@pytest.fixture
def data(tmp_path, monkeypatch):
    """An empty folder that FLOWLIB_DATA names; the cache is an empty folder `cache` beside it."""
    (folder := tmp_path / "data").mkdir()
    monkeypatch.setenv("FLOWLIB_DATA", str(folder))
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv("NO_PROXY", "*")
    return folder


@pytest.fixture
def mnist(monkeypatch):
    """The contents of the four files; the published MNIST is these, and no mirror has them."""
    pixels, labels = real_digits()
    contents = {}
    for part, rows in (("train", TRAIN), ("t10k", TEST)):
        contents[f"{part}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels[rows]))
        contents[f"{part}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels[rows]))
    monkeypatch.setattr(images, "MNIST", publish(images.MNIST, contents, NOWHERE + "a/", NOWHERE + "b/"))
    return contents


@pytest.fixture
def cifar10(monkeypatch):
    """The contents of the six batches; the published CIFAR-10 is these, and no mirror has it."""
    contents = {f"data_batch_{i + 1}": batch(range(10 * i, 10 * i + 10)) for i in range(5)}
    contents["test_batch"] = batch(TEST)
    monkeypatch.setattr(images, "CIFAR10_UNPACKED", publish(images.CIFAR10_UNPACKED, contents))
    packed = {images.ARCHIVE: archive(contents)}
    monkeypatch.setattr(images, "CIFAR10", publish(images.CIFAR10, packed, NOWHERE))
    return contents


@pytest.fixture
def server():
    """`server.pages`: path -> bytes, or (bytes, how many of them are sent). `server.asked`: the paths, in order."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked.append(self.path)
            page = self.server.pages.get(self.path)
            if page is None:
                return self.send_error(404)
            content, sent = page if isinstance(page, tuple) else (page, len(page))
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:sent])

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked, server.url = {}, [], f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def online(mnist, server, monkeypatch):
    """The published MNIST is at two mirrors, /a/ and /b/."""
    server.pages |= {f"/{mirror}/{name}": content for mirror in "ab" for name, content in mnist.items()}
    mirrors = (f"{server.url}/a/", f"{server.url}/b/")
    monkeypatch.setattr(images, "MNIST", replace(images.MNIST, mirrors=mirrors))
    return server


def check_mnist(found):
    pixels, labels = real_digits()
    assert (found.name, found.levels, found.shape) == ("mnist", 256, (1, 8, 8))
    for part, rows in ((found.train, TRAIN[:50]), (found.validation, TRAIN[50:]), (found.test, TEST)):
        assert part.images.dtype == torch.uint8 and part.images.is_contiguous() and part.labels.dtype == torch.int64
        assert part.images.equal(torch.from_numpy(pixels[rows, None]))
        assert part.labels.equal(torch.from_numpy(labels[rows]).long()) and len(part) == len(rows)


# ---- what is in a set


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


# ---- files that are not as they should be


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


# ---- files that are not there


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


def test_the_variable_is_searched_before_the_cache(data, mnist):
    put(data.parent / "cache", images.MNIST, mnist)
    check_mnist(images.mnist())
    put(data, images.MNIST, {FIRST: b"broken"})
    with pytest.raises(ValueError, match=r"it has 6 bytes"):
        images.mnist()


# ---- downloads


def test_a_download_goes_to_the_folder_and_is_done_once(data, online, mnist, capfd):
    check_mnist(images.mnist())
    assert names(data) == sorted(mnist) and not (data.parent / "cache").exists()
    assert sorted(online.asked) == sorted(f"/a/{name}" for name in mnist)
    assert "100%" in capfd.readouterr().err  # the bar
    check_mnist(images.mnist())
    assert len(online.asked) == 4


def test_without_the_variable_a_download_goes_to_the_cache(data, online, mnist, monkeypatch):
    monkeypatch.delenv("FLOWLIB_DATA")
    check_mnist(images.mnist())
    assert names(data.parent / "cache") == sorted(mnist) and not names(data)


def test_the_cache_is_a_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_folder().name == "flowlib"


FAULTS = {
    "missing": (lambda content: None, "answers with status 404"),
    "altered": (lambda content: content[:-1] + b"?", "gives another file than the published one"),
    "broken off": (lambda content: (content, len(content) // 2), "cannot be reached, or broke off"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_next_mirror_helps_out(fault, data, online, mnist):
    online.pages[f"/a/{FIRST}"] = FAULTS[fault][0](mnist[FIRST])
    check_mnist(images.mnist())
    assert online.asked[:2] == [f"/a/{FIRST}", f"/b/{FIRST}"] and names(data) == sorted(mnist)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_download_leaves_nothing_and_starts_anew(fault, data, online, mnist):
    spoil, words = FAULTS[fault]
    for mirror in "ab":
        online.pages[f"/{mirror}/{FIRST}"] = spoil(mnist[FIRST])
    with pytest.raises(ConnectionError) as error:
        images.mnist()
    assert str(error.value).count(words) == 2 and f"{online.url}/b/{FIRST} {words}" in str(error.value)
    assert names(data) == []
    online.pages[f"/b/{FIRST}"] = mnist[FIRST]
    check_mnist(images.mnist())


def test_the_archive_of_cifar10_is_downloaded(data, cifar10, server, monkeypatch):
    server.pages[f"/{images.ARCHIVE}"] = archive(cifar10)
    published = publish(images.CIFAR10, {images.ARCHIVE: archive(cifar10)}, server.url + "/")
    monkeypatch.setattr(images, "CIFAR10", published)
    assert len(images.cifar10().train) == 45 and len(images.cifar10(batches=3).train) == 27
    assert names(data) == [images.ARCHIVE] and len(server.asked) == 1


# ---- folders that cannot be written to


def test_what_is_read_only_is_left_alone(data, online, mnist):
    data.chmod(0o555)
    check_mnist(images.mnist())
    data.chmod(0o755)
    assert names(data.parent / "cache") == sorted(mnist) and not names(data)


def test_nowhere_to_write(data, online, mnist):
    (data / "mnist").write_text("a file in the place of the folder")
    (data.parent / "cache").write_text("another one")
    with pytest.raises(PermissionError) as error:
        images.mnist()
    message = str(error.value)
    assert message.startswith("mnist must be downloaded, and nothing can be written to ")
    assert str(data / "mnist") in message and str(data.parent / "cache" / "mnist") in message
    assert "Set FLOWLIB_DATA to a folder of yours." in message and FIRST in message and online.url in message
    assert not online.asked


# ---- the whole sets, where they are


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
