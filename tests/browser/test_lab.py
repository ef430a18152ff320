"""`make lab` as a learner calls it: it answers on its port, with the first notebook open and no questions asked."""

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from tools.lab import ROOT, open_page, own_environment


@pytest.fixture
def lab(tmp_path):
    """The address of a running `make lab`, with settings of its own; its token is known beforehand."""
    if not (ROOT / ".venv" / "installed").exists():
        pytest.skip("the environment was not made by make")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {key: value for key, value in own_environment(tmp_path).items() if not key.startswith("MAKE")}
    process = subprocess.Popen(
        ["make", "lab", f"PORT={port}", "BROWSER=no"],
        cwd=ROOT,
        env=environment | {"JUPYTER_TOKEN": "known"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_for(f"http://localhost:{port}/api?token=known", process)
        yield f"http://localhost:{port}/?token=known"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def wait_for(address: str, process: subprocess.Popen) -> None:
    end = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(address, timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError("make lab does not answer on its port")


def test_make_lab_opens_the_course(lab):
    with open_page() as page:
        page.goto(lab)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        assert page.locator(".lm-TabBar-tab.lm-mod-current:has-text('00_start_here.ipynb')").count() == 1
        page.wait_for_timeout(2000)
        assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0
        # before anything is run, an explorer's place is taken by its picture
        assert page.locator(".jp-OutputArea-output img[src^='data:image/png']").count() > 0
