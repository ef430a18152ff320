"""Checkpoints as files: tensors in safetensors, and a card in JSON that says what they are. No pickle, ever.

    folder/model.json                      the card; under "tensors" it names the file below, its size and its hash
    folder/model-1f3a90bc.safetensors      the tensors, named by their hash

A checkpoint is whole at every moment, also where the process is killed or the disk is full: tensors are written first,
beside those of before; then the new card takes the place of the old one in one step; then the old tensors are deleted.
What is read is what was written, or an error says what is wrong with it.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

FOLDER = Path(__file__).parent / "trained"  # what comes with flowlib
FORMAT, READABLE = 2, (1, 2)  # what is written, what can be read; see models/format_1.py
PICKLES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin")
WHY_NOT = (
    "A pickle can run any code while it is read, so flowlib reads safetensors alone. If you trust where it comes from, "
    "read it with torch.load, build the model, and save it with flowlib.models.checkpoint.save."
)
Card = dict[str, Any]


def save(folder: Path, name: str, tensors: Mapping[str, Tensor], card: Card) -> Card:
    """Write tensors and card as the checkpoint `name` of the folder, in place of an earlier one; returns the card.

    Raises:
        OSError: the disk is full. PermissionError: the folder cannot be written to. The earlier checkpoint is whole.
    """
    plain = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    content = safetensors.torch.save(plain)
    digest = hashlib.sha256(content).hexdigest()
    file = f"{name}-{digest[:8]}.safetensors"
    card = {**card, "format": FORMAT, "tensors": {"file": file, "bytes": len(content), "sha256": digest}}
    write(folder / file, content)
    write(folder / f"{name}.json", (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())
    for old in [*folder.glob(f"{name}-*.safetensors"), *folder.glob(f".{name}[-.]*")]:  # and what a kill left behind
        if old.name != file:
            old.unlink(missing_ok=True)
    return card


def read(folder: Path, name: str) -> tuple[Card, dict[str, Tensor]]:
    """Card and tensors of the checkpoint `name` in the folder.

    Raises:
        FileNotFoundError: card or tensors are missing.
        ValueError: either is damaged, or is something else, such as a pickle.
    """
    card = read_card(folder, name)
    stored = card["tensors"]
    path = folder / stored["file"]
    content = _content(path, f"{folder / name}.json names it")
    if pickled(content):
        raise ValueError(f"{path} holds a pickle and is refused. {WHY_NOT}")
    again = "Copy or train the checkpoint again."
    if len(content) != stored["bytes"]:
        raise ValueError(
            f"{path} is damaged: it has {len(content):,} bytes, and its card says {stored['bytes']:,}; a copy may have "
            f"broken off. {again}"
        )
    if hashlib.sha256(content).hexdigest() != stored["sha256"]:
        raise ValueError(f"{path} is damaged: it is not the file that its card names, the hashes differ. {again}")
    try:
        return card, safetensors.torch.load(content)
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file: {error}. {again}") from None


def read_card(folder: Path, name: str) -> Card:
    """The card of the checkpoint `name` in the folder, without its tensors. Errors: `read`."""
    path = folder / f"{name}.json"
    if folder.is_file():
        kind = f"a pickle, and is refused. {WHY_NOT}" if pickled(folder.read_bytes()) else "a file."
        raise ValueError(f"{folder} is {kind} A checkpoint is a folder that holds {path.name}.")
    found = sorted(child.name for child in folder.glob("*") if child.suffix in PICKLES)
    pickles = f" It holds {', '.join(found)}, as others save checkpoints. {WHY_NOT}" if found else ""
    content = _content(path, f"{folder} is no checkpoint without it.{pickles}")
    try:
        card = json.loads(content)
        stored = card["tensors"]
        plain = Path(stored["file"]).name == stored["file"]
        right = card["format"] in READABLE and plain and {"bytes", "sha256"} <= stored.keys()
    except (ValueError, KeyError, TypeError, AttributeError):
        right = False
    if not right:
        raise ValueError(
            f"{path} is damaged, or is no card of flowlib's: it must be JSON with format 1 or {FORMAT} and the file, "
            "bytes and sha256 of its tensors. Copy or train the checkpoint again."
        )
    return card


def pickled(content: bytes) -> bool:
    """Whether these bytes are a pickle, or a zip archive around one (torch.save), and not safetensors."""
    return content.startswith((b"PK\x03\x04", b"\x80")) and content[8:9] != b"{"  # where safetensors begin their header


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Copy the tensors into the module, which must have exactly these; ValueError says which do not fit."""
    own = module.state_dict()
    problems = [f"{name} is missing" for name in own if name not in tensors]
    problems += [f"{name} has no place" for name in tensors if name not in own]
    problems += [
        f"{name} has shape {tuple(tensors[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape and not name.endswith("_extra_state")
    ]
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise ValueError(
            f"{source}: the card does not fit the tensors, they are of another model: {'; '.join(problems[:3])}{more}."
        )
    module.load_state_dict(dict(tensors))


def write(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever opens `path` finds the old content or all of the new. Errors: `save`."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
        if os.name == "posix":  # the new name must reach the disk as well
            descriptor = os.open(path.parent, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
    except OSError as error:
        raise _in_words(error, path, len(content)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _in_words(error: OSError, path: Path, size: int) -> OSError:
    """The same error, saying what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        free = shutil.disk_usage(next(p for p in path.parents if p.exists())).free
        return OSError(
            f"The disk is full: {path} needs {size / 1e6:,.1f} MB, {free / 1e6:,.1f} MB are free. "
            "What was there is as it was. Make room, then go on with --resume."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return PermissionError(
            f"{path} cannot be written: {error.strerror}. Choose a folder of yours with --out, or change its "
            "permissions. What was there is as it was."
        )
    return OSError(f"{path} cannot be written: {error.strerror or error}. What was there is as it was.")


def _content(path: Path, why: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing. {why}") from None
    except OSError as error:
        raise type(error)(f"{path} cannot be read: {error.strerror}.") from None
