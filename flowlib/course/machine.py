"""Is this machine ready for the course? Versions, cores, GPU and data, and what each missing thing costs.

The report names the environment variable that holds the data folder, never the folder: it is stored in a notebook.
"""

import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import torch

from flowlib.datasets.files import DATA_VARIABLE
from flowlib.support.tables import Report, Table

# package -> what happens without it, or with another version than flowlib asks for
PACKAGES = {
    "torch": "every page computes with it",
    "numpy": "every picture is drawn with it",
    "jupyterlab": "the pages were tried in this editor; others may not show the live pictures",
    "ipywidgets": "without it there are no sliders",
    "anywidget": "without it the live pictures stay frozen",
}

# data set -> (files of which one must be there, what it is and what happens without it)
DATA_SETS = {
    "mnist": (["train-images-idx3-ubyte.gz"], "digits; 12 MB to download when a model is trained on them"),
    "fashion_mnist": (["train-images-idx3-ubyte.gz"], "garments; 31 MB to download when a model is trained on them"),
    "cifar10": (
        ["cifar-10-python.tar.gz", "cifar-10-batches-py/data_batch_1"],
        "small photographs; 170 MB to download when a model is trained on them",
    ),
    "anomaly": (["magnetic_tile_64.npz"], "tiles with defects; the chapter that uses them says where to get them"),
    "faces": (["olivetti_64.npz"], "400 faces; the chapter that uses them says where to get them"),
    "tabular": (
        ["protein_casp.npz", "bsds300_like_8x8_patches.npz"],
        "tables of measurements; the chapter that uses them says where to get them",
    ),
}


@dataclass(frozen=True)
class Finding:
    """One line of the report. `ok` is True (there), None (missing, but the course runs) or False (mend this first)."""

    name: str
    found: str
    note: str
    ok: bool | None

    @property
    def mark(self) -> str:
        return {True: "✓", False: "✗", None: "○"}[self.ok]


class MachineReport(Report):
    """What `check_machine` found: a short table, in text and in HTML; `.ready` if nothing must be mended."""

    def __init__(self, findings: list[Finding]):
        self.findings = findings

    @property
    def ready(self) -> bool:
        return all(finding.ok is not False for finding in self.findings)

    @property
    def verdict(self) -> str:
        if not self.ready:
            wrong = [finding.name for finding in self.findings if finding.ok is False]
            return f"not ready yet: mend {', '.join(wrong)}"
        if any(finding.ok is None for finding in self.findings):
            return "ready (○: the course runs without it, and the line says what that costs)"
        return "ready"

    def table(self) -> Table:
        rows = [(line.mark, line.name, line.found, line.note) for line in self.findings]
        return Table("this machine", rows, self.verdict)


def check_machine() -> MachineReport:
    """Look at Python, packages, cores, GPU and data folder, and say what will run slower or be downloaded.

    >>> from flowlib.course.machine import check_machine
    >>> check_machine().findings[0].name
    'Python'
    """
    return MachineReport([*versions(), cores(), gpu(), *data()])


def versions() -> Iterator[Finding]:
    """Python and the packages, against what flowlib's own metadata asks."""
    asked = requirements()
    present = platform.python_version()
    yield version("Python", present, asked.get("Python", ""), "another Python may not run flowlib")
    for name, note in PACKAGES.items():
        try:
            present = metadata.version(name)
        except metadata.PackageNotFoundError:
            present = None
        yield version(name, present, asked.get(name, ""), note)


def version(name: str, present: str | None, asked: str, note: str) -> Finding:
    """The finding for one version; one that does not fit says what that costs."""
    wanted = f"asked: {asked.replace(',', ', ')}" if asked else ""
    if present is not None and satisfies(present, asked):
        return Finding(name, present, wanted, True)
    return Finding(name, present or "not found", "; ".join(filter(None, [wanted, note])), False)


def requirements() -> dict[str, str]:
    """{package: asked versions}, e.g. {"torch": ">=2.6"}, from the installed flowlib; empty if there is none."""
    try:
        about = metadata.metadata("flowlib")
    except metadata.PackageNotFoundError:
        return {}
    asked = {"Python": about["Requires-Python"] or ""}
    for line in about.get_all("Requires-Dist") or []:
        name, versions = re.match(r"([\w.-]+)(?:\[[^]]*\])?\s*\(?([^;)]*)", line).groups()
        asked[name] = versions.strip()
    return asked


def satisfies(present: str, asked: str) -> bool:
    """Whether a version such as "2.13.0+cpu" meets all of "<3,>=2.6"; anything else than >=, >, <=, <, == is let pass.

    >>> satisfies("4.10.1", ">=4.3,<5"), satisfies("5.0", ">=4.3,<5")
    (True, False)
    """
    compare = {">=": tuple.__ge__, ">": tuple.__gt__, "<=": tuple.__le__, "<": tuple.__lt__, "==": tuple.__eq__}
    for sign, limit in re.findall(r"(>=|<=|==|>|<)\s*([\d.]+)", asked):
        if not compare[sign](release(present), release(limit)):
            return False
    return True


def release(version: str) -> tuple[int, ...]:
    """The first three numbers of a version: "2.13.0+cpu" -> (2, 13, 0), "5" -> (5, 0, 0)."""
    numbers = [int(n) for n in re.match(r"[\d.]*", version).group().split(".") if n][:3]
    return tuple(numbers + [0] * (3 - len(numbers)))


def cores() -> Finding:
    """The CPU cores that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    slow = "the stated run times were measured on two cores; expect up to twice as long" if count == 1 else ""
    return Finding("CPU", f"{count} core{'s' if count != 1 else ''}", slow, None if count == 1 else True)


def gpu() -> Finding:
    """The CUDA GPUs that torch sees, and their memory."""
    if torch.cuda.is_available():
        cards = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
        return Finding("GPU", ", ".join(f"{c.name}, {c.total_memory / 2**30:.0f} GiB" for c in cards), "", True)
    note = "no page needs one; training an image flow yourself (`flowlib train`) is slow without one"
    if shutil.which("nvidia-smi") and torch.version.cuda is None:
        note += "; this machine seems to have one, but its torch was built for the CPU alone"
    return Finding("GPU", "none that torch can use", note, None)


def data() -> Iterator[Finding]:
    """The data folder that the environment variable names, and which sets lie in it."""
    value = os.environ.get(DATA_VARIABLE, "")
    folder = Path(value).expanduser() if value else None
    if folder is None:
        note = "no page needs it; `flowlib train` downloads the images that it is to train on"
        yield Finding(DATA_VARIABLE, "not set", note, None)
        return
    if not folder.is_dir():
        note = "correct the variable, or remove it to download data when needed"
        yield Finding(DATA_VARIABLE, "set, but it names no folder", note, False)
        return
    yield Finding(DATA_VARIABLE, "set", "", True)
    for name, (files, note) in DATA_SETS.items():
        there = any((folder / name / file).is_file() for file in files)
        yield Finding(f"  {name}", "found" if there else "not found", "" if there else note, True if there else None)
