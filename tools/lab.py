"""A JupyterLab of our own and a page in headless Chromium, for the browser tests, the screenshots and the benchmark.

The server has temporary settings, a free port, no token and no news prompt; it is ended by its own process id.
Needs playwright (the Python package alone) and a Chromium or Chrome of the system; nothing is downloaded.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
SERVER_CONFIG = ROOT / "lab" / "jupyter_server_config.py"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-sync",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--hide-scrollbars",
]


def find_browser() -> str | None:
    """The path of a Chromium or Chrome of this machine; FLOWLIB_BROWSER names another one."""
    chosen = os.environ.get("FLOWLIB_BROWSER")
    found = [shutil.which(chosen)] if chosen else [shutil.which(name) for name in BROWSERS]
    if not chosen and MAC_CHROME.exists():
        found.append(str(MAC_CHROME))
    return next(filter(None, found), None)


def own_environment(folder: Path) -> dict[str, str]:
    """The environment of a JupyterLab that reads and writes its settings under `folder` and none of the user's."""
    foreign = ("VIRTUAL_ENV", "PYTHONHOME", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH", "MPLBACKEND")
    env = {key: value for key, value in os.environ.items() if key not in foreign}
    own = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTER_RUNTIME_DIR": "run",
        "IPYTHONDIR": "ipython",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "spaces",
    }
    return env | {key: str(folder / name) for key, name in own.items()}


class Server:
    """JupyterLab on a free local port with `root` as its folder; `config` is a jupyter_server_config.py."""

    def __init__(self, root: Path, theme: str = "light", config: Path | None = None, timeout: float = 90):
        self.folder = Path(tempfile.mkdtemp(prefix="flowlib-lab-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._write_settings(theme)
        options = [
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            "--IdentityProvider.token=",
            "--ServerApp.disable_check_xsrf=True",
            f"--ServerApp.root_dir={root}",
            f"--FileCheckpoints.checkpoint_dir={self.folder / 'checkpoints'}",
            "--LabApp.expose_app_in_browser=True",
            "--LabApp.news_url=None",
        ]
        if config:
            options.insert(0, f"--config={config}")
        with open(self.folder / "lab.log", "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "jupyterlab", *options],
                stdout=log,
                stderr=log,
                env=own_environment(self.folder),
                cwd=root,
                start_new_session=True,
            )
        self._wait(timeout)

    def _write_settings(self, theme: str) -> None:
        extension = {
            "apputils-extension/notification": {
                "fetchNews": "false",
                "checkForUpdates": False,
                "doNotDisturbMode": True,
            },
            "apputils-extension/themes": {"theme": f"JupyterLab {theme.capitalize()}"},
            "docmanager-extension/plugin": {"autosave": False},
            "notebook-extension/tracker": {"windowingMode": "none"},
        }
        for name, value in extension.items():
            path = self.folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(value))

    def _wait(self, timeout: float) -> None:
        end = time.monotonic() + timeout
        while True:
            try:
                urllib.request.urlopen(self.url + "/api/status", timeout=2).read()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > end:
                    log = (self.folder / "lab.log").read_text()[-2500:]
                    self.close()
                    raise RuntimeError(f"JupyterLab did not answer on {self.url}:\n{log}") from None
                time.sleep(0.1)

    def end_kernels(self) -> None:
        """Ends every kernel, as a reader does who shuts a page down."""
        for session in json.load(urllib.request.urlopen(self.url + "/api/sessions", timeout=5)):
            gone = urllib.request.Request(f"{self.url}/api/sessions/{session['id']}", method="DELETE")
            urllib.request.urlopen(gone, timeout=10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def open_page(width: int = 1280, height: int = 1000, script: Path | None = None) -> Iterator[Page]:
    """A fresh page of a headless browser; `script` runs in it before anything else."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        if script:
            page.add_init_script(script.read_text())
        try:
            yield page
        finally:
            browser.close()


def open_notebook(page: Page, server: Server, path: str, timeout: float = 90) -> None:
    """Shows the notebook alone, without side bars, and waits until its kernel is idle."""
    page.goto(f"{server.url}/doc/tree/{quote(path)}", wait_until="domcontentloaded")
    limit = timeout * 1000
    page.wait_for_function("() => window.jupyterapp && window.jupyterapp.commands", timeout=limit)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=limit)
    page.wait_for_function(
        """() => {
        const kernel = window.jupyterapp.shell.currentWidget?.context?.sessionContext.session?.kernel;
        const idle = kernel?.connectionStatus === 'connected' && kernel.status === 'idle';
        return idle || document.querySelector('.jp-Dialog');
    }""",
        timeout=limit,
    )
    if page.query_selector(".jp-Dialog"):
        raise RuntimeError("JupyterLab asks instead of opening the notebook: " + page.inner_text(".jp-Dialog"))


def run_all(page: Page, timeout: float = 180) -> None:
    """Runs every cell; an error in a cell (unless it is tagged raises-exception) or in an output is raised here."""
    page.evaluate(
        """async limit => {
        const run = window.jupyterapp.commands.execute('notebook:run-all-cells');
        await Promise.race([run, new Promise((_, fail) => setTimeout(() => fail(new Error('too slow')), limit))]);
    }""",
        timeout * 1000,
    )
    page.wait_for_timeout(500)
    errors = page.evaluate("""() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells
        .filter(c => !(c.metadata.tags || []).includes('raises-exception'))
        .flatMap(c => c.outputs || []).filter(o => o.output_type === 'error').map(o => o.traceback.join('\\n'))""")
    if errors:
        raise RuntimeError("a cell failed:\n" + re.sub(r"\x1b\[[0-9;]*m", "", errors[0]))
