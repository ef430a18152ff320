"""Folders of the test, and a server on this machine, for the published files: no test needs a connection."""

import gzip
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from flowlib.datasets import files, images
from tests.datasets.image_sets.published import NOWHERE, TEST, TRAIN, archive, batch, idx, publish, real_digits


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
