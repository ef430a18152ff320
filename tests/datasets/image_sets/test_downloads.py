"""Downloads: where they go, what helps where a mirror fails, and folders that cannot be written to."""

import pytest

from flowlib.datasets import files, images
from tests.datasets.image_sets.published import FIRST, archive, check_mnist, names, publish


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
    assert list(data.iterdir()) == []
    online.pages[f"/b/{FIRST}"] = mnist[FIRST]
    check_mnist(images.mnist())


def test_the_archive_of_cifar10_is_downloaded(data, cifar10, server, monkeypatch):
    server.pages[f"/{images.ARCHIVE}"] = archive(cifar10)
    published = publish(images.CIFAR10, {images.ARCHIVE: archive(cifar10)}, server.url + "/")
    monkeypatch.setattr(images, "CIFAR10", published)
    assert len(images.cifar10().train) == 45 and len(images.cifar10(batches=3).train) == 27
    assert names(data) == [images.ARCHIVE] and len(server.asked) == 1


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
