"""The machine check: what it finds, what it says of each missing thing, and that it names no path."""

from importlib import metadata

import pytest
import torch

from flowlib.course import machine
from flowlib.course.machine import MachineReport, check_machine, release, requirements, satisfies


def finding(report: MachineReport, name: str) -> machine.Finding:
    return next(line for line in report.findings if line.name.strip() == name)


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.delenv("FLOWLIB_DATA", raising=False)


def test_this_machine_is_ready(no_data):
    report = check_machine()
    assert report.ready
    assert finding(report, "torch").found == metadata.version("torch")
    assert finding(report, "torch").note.startswith("asked: >=")


def test_it_asks_what_the_package_asks():
    asked = requirements()
    assert set(machine.PACKAGES) | {"Python"} <= set(asked)
    assert asked["jupyterlab"] in ("<5,>=4.3", ">=4.3,<5")


@pytest.mark.parametrize(
    ("present", "asked", "fits"),
    [
        ("2.13.0+cpu", ">=2.6", True),
        ("2.5.1", ">=2.6", False),
        ("2.6", ">=2.6", True),
        ("9.0.0", "<9,>=8.1", False),
        ("8.1.9", "<9,>=8.1", True),
        ("5.0.0rc1", "<5", False),
        ("3.11.7", "", True),
    ],
)
def test_versions_are_compared_as_numbers(present, asked, fits):
    assert satisfies(present, asked) is fits


def test_release_has_three_numbers():
    assert release("5") == (5, 0, 0)
    assert release("2.13.0+cu128") == (2, 13, 0)


def test_an_old_or_absent_package_is_named(monkeypatch, no_data):
    def version(name):
        if name == "anywidget":
            raise metadata.PackageNotFoundError(name)
        return "1.0"

    monkeypatch.setattr(machine.metadata, "version", version)
    report = check_machine()
    assert not report.ready
    assert report.verdict == "not ready yet: mend torch, numpy, jupyterlab, ipywidgets, anywidget"
    assert finding(report, "anywidget").found == "not found"
    assert "asked: >=2.6" in finding(report, "torch").note
    assert "live pictures stay frozen" in finding(report, "anywidget").note


def test_no_gpu_says_what_runs_slower(monkeypatch, no_data):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = finding(check_machine(), "GPU")
    assert line.ok is None
    assert "slow without one" in line.note


def test_no_data_folder_says_what_downloads_data(no_data):
    line = finding(check_machine(), "FLOWLIB_DATA")
    assert (line.found, line.ok) == ("not set", None)
    assert "`flowlib train` downloads" in line.note


def test_a_folder_that_is_not_there_must_be_mended(monkeypatch, tmp_path):
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path / "nowhere"))
    assert check_machine().verdict == "not ready yet: mend FLOWLIB_DATA"


def test_found_sets_are_listed_and_no_path_is_shown(monkeypatch, tmp_path):
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").touch()
    monkeypatch.setenv("FLOWLIB_DATA", str(tmp_path))
    report = check_machine()
    assert finding(report, "mnist").ok is True
    assert finding(report, "cifar10").ok is None
    assert "170 MB" in finding(report, "cifar10").note
    for shown in (repr(report), report._repr_html_()):
        assert str(tmp_path) not in shown
        assert tmp_path.name not in shown
        assert "FLOWLIB_DATA" in shown
