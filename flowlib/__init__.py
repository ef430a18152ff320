"""flowlib: normalizing flows, small enough to read.

core            the change of variables: the whole theory in one file; start here
bases, laws     where samples start; how one number moves
transforms      the flow families, one a file, in the order of the course; nets: their networks
proof           every claim of a transform, checked in front of you
models          recipes that read like the figure in their paper; pixels: what images need beside a flow
training        to samples, to an energy, on images
viz, course     pictures that follow the hand; exercises that check themselves
"""

import importlib

WHERE = {
    "Transform": "core",
    "Compose": "core",
    "Inverse": "core",
    "Given": "core",
    "Flow": "core",
    "prove": "proof",
    "load": "models",
    "save": "models",
}
__all__ = ["Compose", "Flow", "Given", "Inverse", "Transform", "load", "prove", "save"]


def __getattr__(name: str) -> object:
    """Imports nothing until a name is asked for."""
    if name not in WHERE:
        raise AttributeError(f"module 'flowlib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"flowlib.{WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
