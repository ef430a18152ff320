"""Checkpoint files: whole at every moment, and refused in words where they are not what they should be."""

import builtins
import errno
import json
import os
import pickle

import pytest
import torch
from torch import nn

from flowlib.models import checkpoint as files

TENSORS = {"a": torch.arange(6.0).view(2, 3), "flag": torch.tensor(True), "half": torch.ones(3, dtype=torch.bfloat16)}


@pytest.fixture
def folder(tmp_path):
    """A folder with a checkpoint named `model`."""
    files.save(tmp_path, "model", TENSORS, {"step": 1})
    return tmp_path


def tensors_of(folder):
    return folder / json.loads((folder / "model.json").read_text())["tensors"]["file"]


def test_what_is_saved_is_read(folder):
    card, tensors = files.read(folder, "model")
    assert card["step"] == 1 and card["format"] == files.FORMAT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype and torch.equal(tensors[name], tensor)


def test_tensors_in_any_layout_and_shared_ones_can_be_saved(tmp_path):
    image = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    files.save(tmp_path, "model", {"image": image, "again": image, "part": image[0, 0].T}, {})
    _, tensors = files.read(tmp_path, "model")
    assert torch.equal(tensors["image"], image) and torch.equal(tensors["part"], image[0, 0].T)


def test_a_new_checkpoint_takes_the_place_of_the_old_one(folder):
    files.save(folder, "model", {"a": torch.zeros(1)}, {"step": 2})
    assert files.read(folder, "model")[0]["step"] == 2
    assert len(list(folder.iterdir())) == 2  # card and tensors, nothing temporary, nothing old


FAILS = {
    "a full disk": (errno.ENOSPC, OSError, "The disk is full"),
    "no permission": (errno.EACCES, PermissionError, "cannot be written"),
    "a read-only disk": (errno.EROFS, PermissionError, "--out"),
    "a broken disk": (errno.EIO, OSError, "cannot be written"),
}


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("name", FAILS)
def test_a_save_that_fails_leaves_the_old_checkpoint(folder, monkeypatch, name, call):
    code, kind, words = FAILS[name]

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(kind, match=words):
            files.save(folder, "model", {"a": torch.ones(1000)}, {"step": 2})
    assert files.read(folder, "model")[0]["step"] == 1
    assert len(list(folder.iterdir())) == 2


def test_a_save_that_is_cut_between_tensors_and_card_leaves_the_old_checkpoint(folder, monkeypatch):
    replace = os.replace

    def killed(source, target):
        if str(target).endswith(".json"):
            raise SystemExit
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(SystemExit):
        files.save(folder, "model", {"a": torch.ones(1)}, {"step": 2})
    assert files.read(folder, "model")[0]["step"] == 1


def test_what_a_kill_left_behind_is_cleared_away(folder):
    for litter in (".model.json.abc", ".model-01234567.safetensors.abc", "model-01234567.safetensors"):
        (folder / litter).write_text("half")
    (folder / ".modelling").write_text("another's")
    files.save(folder, "model", TENSORS, {"step": 2})
    assert len(list(folder.iterdir())) == 3


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        files.save(tmp_path / "file" / "run", "model", TENSORS, {})


def test_an_unreadable_file_is_named(folder, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(builtins, "open", refuse)
    monkeypatch.setattr("pathlib.Path.read_bytes", refuse)
    with pytest.raises(PermissionError, match=r"model\.json cannot be read: Permission denied"):
        files.read(folder, "model")


def truncate(folder):
    path = tensors_of(folder)
    path.write_bytes(path.read_bytes()[:-10])


def alter(folder):
    path = tensors_of(folder)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def put(content: bytes):
    """Make `content` the tensors of a card that vouches for them."""

    def spoil(folder):
        import hashlib

        card = json.loads((folder / "model.json").read_text())
        card["tensors"].update(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())
        (folder / "model.json").write_text(json.dumps(card))
        tensors_of(folder).write_bytes(content)

    return spoil


def put_torch_save(folder):
    torch.save(TENSORS, folder / "x")
    put((folder / "x").read_bytes())(folder)


def move_out(folder):
    card = json.loads((folder / "model.json").read_text())
    card["tensors"]["file"] = "../elsewhere.safetensors"
    (folder / "model.json").write_text(json.dumps(card))


def replace_by_pickle(folder):
    for path in folder.iterdir():
        path.unlink()
    torch.save(TENSORS, folder / "weights.pt")


SPOILT = {
    "tensors missing": (lambda folder: tensors_of(folder).unlink(), FileNotFoundError, "is missing"),
    "tensors truncated": (truncate, ValueError, "a copy may have broken off"),
    "tensors empty": (lambda folder: tensors_of(folder).write_bytes(b""), ValueError, "it has 0 bytes"),
    "one bit changed": (alter, ValueError, "the hashes differ"),
    "a pickle": (put(pickle.dumps({"a": 1})), ValueError, "holds a pickle and is refused"),
    "torch.save": (put_torch_save, ValueError, "holds a pickle and is refused"),
    "no safetensors": (put(b"12345678 something else"), ValueError, "is no safetensors file"),
    "card missing": (lambda folder: (folder / "model.json").unlink(), FileNotFoundError, "is no checkpoint without"),
    "card truncated": (lambda folder: (folder / "model.json").write_text('{"format": 1,'), ValueError, "is damaged"),
    "card of another": (lambda folder: (folder / "model.json").write_text('{"width": 3}'), ValueError, "is damaged"),
    "card is a list": (lambda folder: (folder / "model.json").write_text("[]"), ValueError, "is damaged"),
    "file elsewhere": (move_out, ValueError, "is damaged"),
    "a folder of pickles": (replace_by_pickle, FileNotFoundError, "weights.pt, as others save"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_wrong_with_a_checkpoint_is_said(folder, name):
    spoil, kind, words = SPOILT[name]
    spoil(folder)
    with pytest.raises(kind, match=words):
        files.read(folder, "model")


def test_a_file_in_place_of_a_folder_is_refused(tmp_path):
    torch.save(TENSORS, tmp_path / "model.pt")
    with pytest.raises(ValueError, match="is a pickle, and is refused"):
        files.read(tmp_path / "model.pt", "model")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ValueError, match="A checkpoint is a folder"):
        files.read(tmp_path / "text", "model")


def test_a_header_that_looks_like_a_pickle_is_none(tmp_path):
    """A safetensors header of 128 bytes starts with the byte of a pickle."""
    for size in range(1, 100):
        content = files.safetensors.torch.save({"a" * size: torch.zeros(1)})
        if content[0] == 0x80:
            assert not files.pickled(content)
            return
    raise AssertionError("no such header")


def test_tensors_of_another_module_are_refused():
    with pytest.raises(ValueError, match=r"here: .* does not fit .* weight has shape \(2, 3\), expected \(4, 3\)"):
        files.fill(nn.Linear(3, 4, bias=False), nn.Linear(3, 2, bias=False).state_dict(), "here")
    with pytest.raises(ValueError, match="bias is missing"):
        files.fill(nn.Linear(3, 4), nn.Linear(3, 4, bias=False).state_dict(), "here")
    with pytest.raises(ValueError, match="bias has no place"):
        files.fill(nn.Linear(3, 4, bias=False), nn.Linear(3, 4).state_dict(), "here")
