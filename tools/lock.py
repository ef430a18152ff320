"""Writes requirements.lock: the exact versions of all that flowlib and its extras need, as they are installed here.

    .venv/bin/python -m pip install --upgrade --editable '.[notebooks,test]' setuptools
    .venv/bin/python -m tools.lock

torch comes first and without its local label (+cpu, +cu130): which build it is belongs to the machine. What torch
itself pins for CUDA on Linux is left to torch.
"""

import tomllib
from collections.abc import Iterable
from importlib.metadata import requires, version
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Made by `python -m tools.lock`, which says how. torch is installed first, on a line of its own.\n"
UNLOCKED = {"anomaly"}  # weights that few need; pyproject.toml pins them
CUDA = ("nvidia-", "cuda-", "triton")


def declared() -> list[Requirement]:
    """What pyproject.toml asks for, with its extras, and the build tool."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = {
        name: lines for name, lines in project["project"]["optional-dependencies"].items() if name not in UNLOCKED
    }
    groups = [project["project"]["dependencies"], *extras.values()]
    return [Requirement(line) for group in [*groups, project["build-system"]["requires"]] for line in group]


def closure(requirements: Iterable[Requirement]) -> set[str]:
    """The names of these packages and of all that they need on this machine."""
    found: set[tuple[str, str]] = set()
    waiting = list(requirements)
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in found or name.startswith(CUDA):
                continue
            found.add((name, extra))
            needs = map(Requirement, requires(name) or [])
            waiting += [need for need in needs if not need.marker or need.marker.evaluate({"extra": extra})]
    return {name for name, _ in found}


def main() -> None:
    names = ["torch", *sorted(closure(declared()) - {"torch"})]
    pins = [f"{name}=={version(name).partition('+')[0]}\n" for name in names]
    (ROOT / "requirements.lock").write_text(HEADER + "".join(pins))
    print(f"requirements.lock: {len(pins)} packages")


if __name__ == "__main__":
    main()
