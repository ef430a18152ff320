"""The published files of a data set: found on this machine or downloaded, and read only if they are as published.

A file is looked for in the folder that the environment variable FLOWLIB_DATA names, then in flowlib's folder of the
user's cache, and is downloaded if it is in neither: into the first of the two that can be written to. A download goes
to a temporary file and gets its name only when its hash is right, so one that breaks off leaves nothing behind.
"""

import gzip
import hashlib
import os
import tempfile
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

DATA_VARIABLE = "FLOWLIB_DATA"
TIMEOUT = (5, 30)  # seconds to wait for a connection, and for the next bytes


@dataclass(frozen=True)
class Published:
    """The files of one data set, as they are published.

    Args:
        folder: where they lie below FLOWLIB_DATA, and below the cache.
        files: name -> (size in bytes, sha256, or another hash as "algorithm:hexadecimal").
        mirrors: addresses that are tried in turn; with the name of a file behind it, each is that file's.
        unpacked: of files that end in .gz, name -> sha256 of what is in them; unpacked, or packed anew, it is as good.
        others: further folders below FLOWLIB_DATA where other libraries put them.
    """

    folder: str
    files: dict[str, tuple[int, str]]
    mirrors: tuple[str, ...] = ()
    unpacked: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def read(source: Published, name: str) -> bytes:
    """What the file of that name holds: size and hash are as published.

    Raises:
        ValueError: a file of that name is here, but is not the published one; it is left as it is.
        FileNotFoundError: FLOWLIB_DATA names no folder.
        PermissionError: the file must be downloaded, and no folder can be written to.
        ConnectionError: no mirror gives the file. The message says what to put where by hand.
    """
    path = find(source, name) or _download(source, name)
    content = path.read_bytes()
    size, published = source.files[name]
    if (found := _hash(content, published)) == published:
        return content
    if name in source.unpacked and (packed := _packed(content, source.unpacked[name])):
        return packed
    if len(content) != size:
        problem = f"it has {len(content):,} bytes, and {size:,} are published; a download may have broken off"
    else:
        problem = f"its hash is {found}, and {published} is published; it was altered, or damaged"
    raise ValueError(
        f"{path} is not the published file: {problem}. Delete it, and the next call downloads it; or put the published "
        "file in its place."
    )


def find(source: Published, name: str) -> Path | None:
    """The path of the file of that name, below FLOWLIB_DATA or else in the cache; None if it is in neither.

    FLOWLIB_DATA may also name the folder of the data set itself, or one on the way to it; what is published as name.gz
    may lie there unpacked.
    """
    if base := data_folder():
        for parts in (Path(folder).parts for folder in (source.folder, *source.others)):
            deep = [k for k in range(len(parts) + 1) if base.parts[len(base.parts) - k :] == parts[:k]]
            for k in deep:  # FLOWLIB_DATA ends with the first k folders
                for each in (name, name.removesuffix(".gz")) if name in source.unpacked else (name,):
                    if (path := base.joinpath(*parts[k:], each)).is_file():
                        return path
    return path if (path := cache_folder() / source.folder / name).is_file() else None


def data_folder() -> Path | None:
    """The folder that FLOWLIB_DATA names; None if it is not set."""
    if not (value := os.environ.get(DATA_VARIABLE)):
        return None
    if not (folder := Path(value).expanduser()).is_dir():
        raise FileNotFoundError(
            f"{DATA_VARIABLE} names {value}, which is not a folder. Correct it, or unset it to download image sets."
        )
    return folder


def cache_folder() -> Path:
    """The folder for flowlib's data in the user's cache; it need not exist yet."""
    import pooch

    return Path(pooch.os_cache("flowlib"))


def _packed(content: bytes, published: str) -> bytes | None:
    """A file that was unpacked, or packed anew, as one that is packed, if what is in it is what was published."""
    try:
        inside = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except (OSError, EOFError, zlib.error):
        return None
    return gzip.compress(inside, 1) if hashlib.sha256(inside).hexdigest() == published else None


def _hash(content: bytes, published: str) -> str:
    """The hash of the content, of the kind and in the form of the published one."""
    algorithm, colon, _ = published.rpartition(":")
    return algorithm + colon + hashlib.new(algorithm or "sha256", content).hexdigest()


def _download(source: Published, name: str) -> Path:
    """The path of the file, freshly downloaded from the first mirror that gives it as it was published."""
    import pooch
    import requests

    folder = _folder_for_download(source)
    get = pooch.HTTPDownloader(progressbar=True, chunk_size=2**16, timeout=TIMEOUT)
    problems = []
    for mirror in source.mirrors:
        try:
            return Path(pooch.retrieve(mirror + name, source.files[name][1], name, folder, downloader=get))
        except requests.HTTPError as error:
            problems.append(f"{mirror + name} answers with status {error.response.status_code}")
        except requests.RequestException as error:
            problems.append(f"{mirror + name} cannot be reached, or broke off ({type(error).__name__})")
        except ValueError:  # pooch: the hash is wrong
            problems.append(f"{mirror + name} gives another file than the published one")
    with suppress(OSError):  # where something else is in it
        folder.rmdir()
    raise ConnectionError(
        f"{source.folder}/{name} is not on this machine, and the download failed:\n"
        + "".join(f"  {problem}\n" for problem in problems)
        + _by_hand(source, folder)
    )


def _folder_for_download(source: Published) -> Path:
    """Below FLOWLIB_DATA if that can be written to, in the cache otherwise."""
    folders = [base / source.folder for base in (data_folder(), cache_folder()) if base]
    for folder in folders:
        if _can_be_written(folder):
            return folder
    raise PermissionError(
        f"{source.folder} must be downloaded, and nothing can be written to {' nor to '.join(map(str, folders))}. Set "
        f"{DATA_VARIABLE} to a folder of yours.\n{_by_hand(source, folders[0])}"
    )


def _can_be_written(folder: Path) -> bool:
    """Whether a file can be made there, by making one. What is marked read-only is left alone, by root too."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
        if not there.stat().st_mode & 0o222:
            return False
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _by_hand(source: Published, folder: Path) -> str:
    """What to do without a connection: the missing files, their addresses, and the folder for them."""
    missing = [name for name in source.files if find(source, name) is None]
    return (
        f"To do it by hand, get these files on a machine that is online and put them into {folder}, or into "
        f"{source.folder}/ of another folder that you name in {DATA_VARIABLE}:\n"
        + "".join(f"  {name} ({source.files[name][0]:,} bytes)\n" for name in missing)
        + f"They are published at {' and '.join(source.mirrors)}"
    )
