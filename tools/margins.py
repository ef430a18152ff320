"""How far the battery is from its bounds: the largest error over its bound of every case and check, worst first.

    .venv/bin/python -m tools.margins [--all] [PYTEST OPTION ...]     e.g. -k planar

A bound should be ten times the error: on another processor the same sums are rounded in another order. What is above
0.1 is printed; with --all, everything that compares numbers.
"""

import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from tempfile import TemporaryDirectory

from flowlib.support.tables import Table
from tools.test import ENVIRONMENT, ROOT

LARGEST = 0.1


def measure(options: list[str]) -> list[tuple[float, str]]:
    """Runs the battery: (error over bound, case and check), worst first."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "2", f"--junitxml={report}", "tests/battery", *options]
        subprocess.run(command, cwd=ROOT, env=ENVIRONMENT)
        tests = list(ElementTree.parse(report).iter("testcase"))
    found = [(float(said.get("value")), test.get("name")) for test in tests for said in test.iter("property")]
    return sorted(found, reverse=True)


def main() -> None:
    options = sys.argv[1:]
    least = 0.0 if "--all" in options else LARGEST
    found = measure([option for option in options if option != "--all"])
    rows = [[f"{margin:.3g}", name.removeprefix("test[").removesuffix("]")] for margin, name in found if margin > least]
    title = f"{len(found)} checks, {sum(margin > LARGEST for margin, _ in found)} above {LARGEST} of their bound"
    print(Table(title, rows, head=["error / bound", "case and check"], right=[0]).text())


if __name__ == "__main__":
    main()
