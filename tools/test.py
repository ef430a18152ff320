"""Everything that `make test` runs, part by part, and a short summary at the end; fails if any part failed.

`--quick` (`make test-quick`) runs the units and doctests alone, without battery, notebooks and browser.
"""

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tools.lab import ROOT, find_browser

UNITS = ["-n", "2", "--doctest-modules", "--ignore=tests/browser", "tests", "flowlib"]
SLOW = ["--ignore=tests/battery", "--ignore=tests/transforms/test_compile.py"]
PAGES = ["-n", "3", "--dist", "loadscope", "tests/browser"]  # they wait for a kernel and a browser half of the time
NOTEBOOKS = ["-n", "2", "--dist", "loadscope", "--nbval", "--nbval-current-env", "--nbval-cell-timeout", "120"]
# Two workers share two cores; a kernel chooses its own matplotlib backend
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "MPLBACKEND"} | {"OMP_NUM_THREADS": "1"}


@dataclass
class Result:
    name: str
    code: int
    passed: int
    failed: int
    skipped: int
    seconds: float

    def __str__(self) -> str:
        state = "ok" if self.code == 0 else "FAILED"
        counts = f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"
        return f"{self.name:44s} {state:6s} {counts} in {self.seconds:.0f} s"


def run(name: str, arguments: list[str]) -> Result:
    print(f"\n---- {name}", flush=True)
    start = time.monotonic()
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-rs", f"--junitxml={report}", *arguments]
        code = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT).returncode
        suites = ElementTree.parse(report).getroot() if report.exists() else []
        total, failures, errors, skipped = (
            sum(int(suite.get(key)) for suite in suites) for key in ("tests", "failures", "errors", "skipped")
        )
    failed = failures + errors
    return Result(name, code, total - failed - skipped, failed, skipped, time.monotonic() - start)


def main() -> None:
    if "--quick" in sys.argv[1:]:
        result = run("units and doctests", [*UNITS, *SLOW])
        print(f"\n{result}")
        sys.exit(result.code)
    results = [
        run("units, battery, doctests", UNITS),
        run("every notebook, by strict nbval", [*NOTEBOOKS, "notebooks"]),
    ]
    if find_browser():
        results.append(run("the pages in a browser", PAGES))
    print("\n---- what ran")
    for result in results:
        print(result)
    if not find_browser():
        print("the pages in a browser: not run, there is no Chromium or Chrome on this machine")
    sys.exit(any(result.code for result in results))


if __name__ == "__main__":
    main()
